import type { RequestLimits } from '../access/limits/request-limits.ts';
import type { Principal } from '../access/principal.ts';
import { bytesIn } from '../http/access-log.ts';
import type { HttpExchange } from '../http/http-exchange.ts';
import type { TrustedProxies } from '../http/trusted-proxies.ts';
import type { Log } from '../observability/log.ts';

/** Somebody may be guessing. */
const SIGNATURE_FAILURES: ReadonlySet<string> = new Set([
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidToken',
  'SignatureDoesNotMatch',
]);

/** Where the pipelines of S3, IAM and STS ask whether it is a caller's turn: one set of limits for all of them. */
export class CallerGate {
  readonly #limits: RequestLimits;
  readonly #proxies: TrustedProxies;
  readonly #log: Log;
  #hasWarned = false;

  constructor({ limits, proxies, log }: { limits: RequestLimits; proxies: TrustedProxies; log: Log }) {
    this.#limits = limits;
    this.#proxies = proxies;
    this.#log = log;
  }

  /** Before anything of the request is looked at. @throws S3Error SlowDown */
  arrive({ remoteAddress }: HttpExchange): void {
    this.#limits.checkAddress(remoteAddress);
  }

  /**
   * Once it is known who asks. `undefined`: go on at once; else when it resolves.
   * @throws S3Error SlowDown
   */
  enter(exchange: HttpExchange, principal: Principal): Promise<void> | undefined {
    const { access, remoteAddress } = exchange;
    access.accessKeyId = principal.accessKeyId;
    const caller = callerName(principal) ?? remoteAddress;
    if (access.accessKeyId !== '') this.#limits.checkKey(caller);
    const turn = this.#limits.enter(caller);
    if (turn === undefined) {
      access.caller = caller;
      return undefined;
    }
    return turn.then(() => void (access.caller = caller));
  }

  /** Before an error is answered: the refusal of a signature waits when its address has failed often. */
  async holdBack({ request, remoteAddress, runtime }: HttpExchange, code: string): Promise<void> {
    if (!SIGNATURE_FAILURES.has(code)) return;
    // Its other clients may be honest.
    if (this.#proxies.isUnlistedProxy(request, request.socket.remoteAddress ?? '')) {
      if (!this.#hasWarned) {
        this.#log.warn({ remoteAddress }, 'requests come through a proxy that s3.trusted_proxies does not name');
      }
      this.#hasWarned = true;
      return;
    }
    const delayMs = this.#limits.failures.failed(remoteAddress);
    if (delayMs > 0) await new Promise<void>((resolve) => void runtime.schedule(delayMs, resolve));
  }

  /** When the answer was sent, or could not be. Every exchange that arrived leaves once. */
  leave(exchange: HttpExchange): void {
    const { access, remoteAddress: address } = exchange;
    const { caller } = access;
    if (caller !== undefined) this.#limits.leave(caller);
    const sizeBytes = bytesIn(exchange) + access.bytesOut;
    this.#limits.charge({ address, caller: access.accessKeyId === '' ? undefined : caller, sizeBytes });
  }
}

/** All sessions of a user or role are one caller: it can have as many keys of that kind as it likes. */
function callerName({ accessKeyId, session, owner, entityId = 'root' }: Principal): string | undefined {
  if (accessKeyId === '') return undefined;
  return session === undefined ? accessKeyId : `${owner.accountId}/${entityId}`;
}
