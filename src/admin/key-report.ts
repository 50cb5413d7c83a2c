/** What may be shown of a key of the server's own ring; the key itself never is. */
export interface KeyReport {
  name: string;
  /** As S3 answers it; absent for the server's own key, which no request can name. */
  arn?: string;
  isEnabled: boolean;
  versionCount: number;
  createdAtMs: number;
  /** Of its newest version. */
  rotatedAtMs: number;
}

export type KeyAction = 'create' | 'rotate' | 'enable' | 'disable';

/** What `holdfast kms key` asks for. @throws S3Error for a name that cannot be, or is not there */
export interface KeyCommands {
  list(): KeyReport[];
  run(action: KeyAction, name: string): Promise<void>;
}
