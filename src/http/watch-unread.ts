import type { HttpExchange } from './http-exchange.ts';

/** After an answer was handed over whole: a client that does not read it is cut like one that stalls in a stream. */
export function watchUnread({ response, runtime }: HttpExchange, unseenBytes: number): void {
  const transfer = {
    movedBytes: 0,
    isWaitingForPeer: true,
    unseenBytes,
    onStalled: (): void => void response.destroy(),
  };
  runtime.watchdog.watch(transfer);
  response.on('close', () => runtime.watchdog.unwatch(transfer));
}
