import { StoreError } from '../../errors/store-error.ts';
import { withDeclaration } from './epoch-opening.ts';
import type { JournalConfiguration, JournalRule } from './journal-configuration.ts';
import { type ChainView, configurationsInForce, type Inspection } from './recovery.ts';

/**
 * The change that declares disks lost, as it goes on the chain of this view, and the rules that hold without them. `next` was
 * made from `before`. Disks that an unfinished change wanted to add and that are gone too are declared lost with the others.
 * @throws StoreError FormatRefused: a disk that is to be declared lost is there | NotReady: the list is another one now
 */
export function declarationOn(
  view: ChainView,
  options: { before: JournalConfiguration; next: JournalConfiguration; inspections: readonly Inspection[] },
): { declaration: JournalConfiguration; rules: JournalRule[] } {
  const { before, next, inspections } = options;
  const inForce = configurationsInForce(view.configurations, view.acknowledged);
  if (inForce[0]?.diskIds.join() !== before.diskIds.join()) {
    throw new StoreError('NotReady', 'the list of disks has changed meanwhile', { hint: 'Look at it, and try again.' });
  }
  const present = new Set(inspections.map(({ disk }) => disk.id));
  const unfinished = inForce.flatMap(({ diskIds }) => diskIds);
  const goneToo = unfinished.filter((diskId) => !before.diskIds.includes(diskId) && !next.diskIds.includes(diskId));
  const lostDiskIds = [...new Set([...(next.lostDiskIds ?? []), ...goneToo.filter((id) => !present.has(id))])];
  const found = lostDiskIds.find((diskId) => present.has(diskId));
  if (found !== undefined) {
    throw new StoreError('FormatRefused', `disk ${found} is there: it is not lost`, {
      hint: 'A disk that was declared lost never counts again. To replace one that works: holdfast disk replace PATH --with NEW',
    });
  }
  const declaration = { ...next, lostDiskIds };
  const rules = configurationsInForce(withDeclaration(view, declaration), view.acknowledged);
  return { declaration, rules: rules.slice(0, -1) };
}

/**
 * A start that is given only disks of an earlier list, enough for a quorum of that time, would go back to what was then.
 * @throws StoreError QuorumLost
 */
export function requireKnownList(view: ChainView, leastListSequence: number): void {
  const newest = view.configurations.at(-1)?.position.sequence ?? 0;
  if (newest >= leastListSequence) return;
  throw new StoreError('QuorumLost', 'the disks that are present know only an older list of disks', {
    hint:
      'Bring a disk of the newer list: those of the older one may lack acknowledged writes. Only when all of the newer ' +
      'are lost for good: serve once with --accept-older-list true.',
  });
}
