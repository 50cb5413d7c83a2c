import { S3Error } from '../errors/s3-error.ts';
import type { AuthorizationRequest, Authorizer } from './principal.ts';

/** Root of the account may do everything, everybody else nothing. The pipeline asks it before every handler. */
export class RootAuthorizer implements Authorizer {
  authorize(request: AuthorizationRequest): void {
    const { type, accessKeyId } = request.principal;
    if (type === 'root' && accessKeyId !== '' && request.action !== '') return;
    throw new S3Error('AccessDenied');
  }
}
