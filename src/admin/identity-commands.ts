/** What `holdfast account|user|group|key|policy` asks for, as the root of an account. Only for the socket. */
export interface IdentityCommands {
  /**
   * One of IAM's operations by its name and parameters (`CreateUser`, `{ UserName: 'ann' }`), or one that IAM does not
   * have: CreateAccount, ListAccounts, CreateServiceAccount, ListServiceAccounts, EndSessions.
   *
   * @param accountId the first account when absent
   * @returns what IAM answers, as JSON. @throws IamError
   */
  call(request: IdentityCommand): Promise<object>;
}

export interface IdentityCommand {
  action: string;
  parameters: Readonly<Record<string, string>>;
  accountId?: string;
}
