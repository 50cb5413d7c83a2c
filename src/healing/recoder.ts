import type { DataStore } from '../data-store/data-store.ts';
import type { DocumentAddress, MetadataStore } from '../metadata-store/metadata-store.ts';
import type { VolumeRecord } from '../model/blob.ts';
import type { Clock } from '../model/clock.ts';
import type { RecodeReport } from '../model/healing-report.ts';
import { STANDARD } from '../model/storage-class.ts';
import type { Log } from '../observability/log.ts';

export interface RecoderOptions {
  metadataStore: Pick<MetadataStore, 'commit' | 'getDocument' | 'listVolumes' | 'nextIdentifier'>;
  dataStore: Pick<DataStore, 'storageClasses'>;
  clock: Clock;
  log: Log;
}

/** A document in the journal, so that a restart goes on. */
interface Recoding {
  /** Volumes with smaller ids were opened before the last change of a code or the last request, whatever their code says. */
  fromVolumeId: number;
  isRunning: boolean;
  startedAtMs: number | undefined;
  finishedAtMs: number | undefined;
}

const ADDRESS: DocumentAddress = { collection: 'cluster', id: 'recoding' };

/**
 * Which volumes are to be rewritten because their class has another code now. The collector does the work, as for any other
 * reason; here is kept what was asked for. Without a request, what was written before a change stays as it is.
 */
export class Recoder {
  readonly #options: RecoderOptions;
  #recoding: Recoding = { fromVolumeId: 0, isRunning: false, startedAtMs: undefined, finishedAtMs: undefined };
  /** When this process first looked how much is left. */
  #firstLook: { atMs: number; leftBytes: number } | undefined;

  constructor(options: RecoderOptions) {
    this.#options = options;
  }

  /** After the start of the metadata store. */
  async load(): Promise<void> {
    const body = await this.#options.metadataStore.getDocument(ADDRESS);
    if (body !== undefined) this.#recoding = JSON.parse(body.toString('utf8')) as Recoding;
  }

  /** Another code is in force: what lies there already is no narrow volume. */
  async codeChanged(): Promise<void> {
    const fromVolumeId = this.#options.metadataStore.nextIdentifier();
    await this.#store({ ...this.#recoding, fromVolumeId, isRunning: false });
  }

  /** From now on volumes of another code than their class has are rewritten, until none is left. */
  async begin(): Promise<void> {
    const { metadataStore, clock } = this.#options;
    const fromVolumeId = metadataStore.nextIdentifier();
    await this.#store({ fromVolumeId, isRunning: true, startedAtMs: clock.nowMs(), finishedAtMs: undefined });
  }

  /** What was rewritten stays so. */
  async end(): Promise<void> {
    await this.#store({ ...this.#recoding, isRunning: false });
  }

  get isRunning(): boolean {
    return this.#recoding.isRunning;
  }

  /** Was it opened under an earlier code? Then it is not narrow. */
  isOfEarlierCode({ volumeId }: VolumeRecord): boolean {
    return volumeId < this.#recoding.fromVolumeId;
  }

  isDue(volume: VolumeRecord): boolean {
    return this.isRunning && this.#differs(volume);
  }

  #differs(volume: VolumeRecord): boolean {
    const { k, m, storageClass = STANDARD } = volume;
    const code = this.#options.dataStore.storageClasses().find(({ name }) => name === storageClass)?.code;
    return code !== undefined && this.isOfEarlierCode(volume) && (k !== code.k || m !== code.m);
  }

  /** By the collector, when it has found nothing that is due. */
  async finishIfDone(): Promise<void> {
    if (!this.isRunning || (await this.#left()).length > 0) return;
    const { clock, log } = this.#options;
    await this.#store({ ...this.#recoding, isRunning: false, finishedAtMs: clock.nowMs() });
    log.info(
      { classes: this.#options.dataStore.storageClasses() },
      'recoding has ended: every volume has the code of its class',
    );
  }

  async #left(): Promise<VolumeRecord[]> {
    const volumes = await this.#options.metadataStore.listVolumes();
    return volumes.filter((volume) => volume.state !== 'dropped' && volume.liveBytes > 0 && this.#differs(volume));
  }

  /** @throws StoreError IndexFailed | NotReady */
  async report(): Promise<RecodeReport> {
    const left = await this.#left();
    const leftBytes = left.reduce((sum, { liveBytes }) => sum + liveBytes, 0);
    const { isRunning, startedAtMs, finishedAtMs } = this.#recoding;
    const nowMs = this.#options.clock.monotonicMs();
    if (isRunning) this.#firstLook ??= { atMs: nowMs, leftBytes };
    const { atMs, leftBytes: firstBytes } = this.#firstLook ?? { atMs: nowMs, leftBytes };
    const doneBytes = Math.max(0, firstBytes - leftBytes);
    const rate = isRunning && nowMs > atMs && doneBytes > 0 ? (doneBytes * 1000) / (nowMs - atMs) : undefined;
    return {
      isRunning,
      startedAtMs,
      finishedAtMs,
      classes: [...this.#options.dataStore.storageClasses()],
      leftVolumeCount: left.length,
      leftBytes,
      rateBytesPerSecond: rate,
      timeLeftMs: rate === undefined ? undefined : (leftBytes / rate) * 1000,
    };
  }

  async #store(recoding: Recoding): Promise<void> {
    const body = Buffer.from(JSON.stringify(recoding));
    await this.#options.metadataStore.commit({ type: 'PutDocument', address: ADDRESS, body });
    this.#recoding = recoding;
    this.#firstLook = undefined;
  }
}
