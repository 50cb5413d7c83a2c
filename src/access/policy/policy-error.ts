/** A policy that is not one. S3 answers MalformedPolicy with the message, IAM MalformedPolicyDocument. */
export class PolicyError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PolicyError';
  }
}
