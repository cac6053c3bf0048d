import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { configMap as configMapKind } from '../../api/kinds/config-map.ts';
import { namespace as namespaceKind } from '../../api/kinds/namespace.ts';
import { secret as secretKind } from '../../api/kinds/secret.ts';
import type { KubeObject } from '../../api/object.ts';
import type { OwnerReference } from '../../api/types/meta.ts';
import { NetworkError } from '../../client/index.ts';
import { seededRandom, startHarness, type Harness } from '../testing/harness.ts';
import { runGarbageCollector } from './controller.ts';
import { planGarbage } from './plan.ts';

const start = (options = {}) => startHarness([runGarbageCollector], options);
const names = (harness: Harness) => harness.client.objects(configMapKind).map((each) => each.metadata.name);
const get = (harness: Harness, name: string) => harness.client.object(configMapKind, `default/${name}`);

const ownedBy = (...owners: (KubeObject | undefined)[]): OwnerReference[] =>
  owners.map((owner) => ({
    apiVersion: owner?.apiVersion ?? 'v1',
    kind: owner?.kind ?? 'ConfigMap',
    name: owner?.metadata.name ?? 'nobody',
    uid: owner?.metadata.uid ?? 'uid-nobody',
    blockOwnerDeletion: true,
  }));

const create = (harness: Harness, name: string, ownerReferences: OwnerReference[] = [], namespace = 'default') =>
  harness.create<KubeObject>(configMapKind, { metadata: { name, namespace, ownerReferences } });
const remove = (harness: Harness, name: string, propagationPolicy: string) =>
  harness.client.resource(configMapKind, 'default').delete(name, { propagationPolicy });

describe('the action for an object', () => {
  const reference = (uid: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', name: uid, uid });
  const input = (states: Record<string, 'solid' | 'absent' | 'waiting'>, finalizers: string[] = []) => ({
    object: { metadata: { ownerReferences: Object.keys(states).map(reference), finalizers } },
    ownerState: ({ uid }: { uid: string }) => states[uid] as 'solid',
    hasDependents: false,
    isCycle: false,
  });
  it.each([
    ['no owners', input({}), { kind: 'keep' }],
    ['all owners stay', input({ a: 'solid' }), { kind: 'keep' }],
    [
      'one stays',
      input({ a: 'solid', b: 'absent', c: 'waiting' }),
      { kind: 'dropReferences', ownerReferences: [reference('a')] },
    ],
    ['none stays', input({ a: 'absent' }), { kind: 'delete', propagationPolicy: 'Background', unblock: false }],
    [
      'none stays, orphaning',
      input({ a: 'absent' }, ['orphan']),
      { kind: 'delete', propagationPolicy: 'Orphan', unblock: false },
    ],
    [
      'the owner waits',
      { ...input({ a: 'waiting' }), hasDependents: true },
      { kind: 'delete', propagationPolicy: 'Foreground', unblock: false },
    ],
    [
      'all wait for each other',
      { ...input({ a: 'waiting' }), hasDependents: true, isCycle: true },
      { kind: 'delete', propagationPolicy: 'Foreground', unblock: true },
    ],
  ])('%s', (_, facts, action) => {
    expect(planGarbage(facts)).toEqual(action);
  });
});

describe('garbage collection', () => {
  it('in the background: dependents go after their owner, down the whole chain', async () => {
    const harness = start();
    const a = await create(harness, 'a');
    const b = await create(harness, 'b', ownedBy(a));
    await create(harness, 'c', ownedBy(b));
    await harness.run();
    await remove(harness, 'a', 'Background');
    expect(names(harness)).toEqual(['b', 'c']);
    await harness.run();
    expect(names(harness)).toEqual([]);
    await harness.stop();
  });

  it('in the foreground: the owner goes last', async () => {
    const harness = start();
    const a = await create(harness, 'a');
    const b = await create(harness, 'b', ownedBy(a));
    await create(harness, 'c', ownedBy(b));
    await harness.run();
    harness.client.change(configMapKind, 'default/c', (each) => ({
      ...each,
      metadata: { ...each.metadata, finalizers: ['test/hold'] },
    }));
    await remove(harness, 'a', 'Foreground');
    await harness.run();
    expect(names(harness)).toEqual(['a', 'b', 'c']);
    expect(get(harness, 'b')?.metadata.finalizers).toEqual(['foregroundDeletion']);
    await harness.client.resource(configMapKind, 'default').patch('c', 'merge', { metadata: { finalizers: [] } });
    await harness.run();
    expect(names(harness)).toEqual([]);
    await harness.stop();
  });

  it('orphans: dependents stay and lose the reference', async () => {
    const harness = start();
    const a = await create(harness, 'a');
    const x = await create(harness, 'x');
    await create(harness, 'b', ownedBy(a, x));
    await harness.run();
    await remove(harness, 'a', 'Orphan');
    await harness.run();
    expect(names(harness)).toEqual(['b', 'x']);
    expect(get(harness, 'b')?.metadata.ownerReferences?.map((each) => each.name)).toEqual(['x']);
    await harness.stop();
  });

  it('keeps an object that still has an owner, without the reference to the one that is gone', async () => {
    const harness = start();
    const [a, b] = [await create(harness, 'a'), await create(harness, 'b')];
    await create(harness, 'c', ownedBy(a, b));
    await harness.run();
    await remove(harness, 'a', 'Background');
    await harness.run();
    expect(get(harness, 'c')?.metadata.ownerReferences?.map((each) => each.name)).toEqual(['b']);
    await harness.stop();
  });

  it('breaks a circle in foreground deletion', async () => {
    const harness = start();
    const a = await create(harness, 'a');
    const b = await create(harness, 'b', ownedBy(a));
    harness.client.change(configMapKind, 'default/a', (each) => ({
      ...each,
      metadata: { ...each.metadata, ownerReferences: ownedBy(b) },
    }));
    await harness.run();
    await remove(harness, 'a', 'Foreground');
    await harness.run(10_000);
    expect(names(harness)).toEqual([]);
    await harness.stop();
  });

  it('deletes what is owned by an absent object, also when started cold', async () => {
    const harness = start();
    await create(harness, 'lost', ownedBy(undefined));
    await harness.run();
    expect(names(harness)).toEqual([]);
    await harness.stop();
  });

  it('takes an owner of another namespace for absent, one of a cluster-scoped kind for present', async () => {
    const harness = start();
    const far = await create(harness, 'far', [], 'other');
    const namespace = await harness.create<KubeObject>(namespaceKind, { metadata: { name: 'some' } });
    await create(harness, 'near', ownedBy(far));
    await create(harness, 'kept', ownedBy(namespace));
    await harness.run();
    expect(names(harness)).toEqual(['kept', 'far']);
    await harness.stop();
  });

  it('does not delete on the word of a cache that is behind', async () => {
    const harness = start({
      before: ({ verb, ref }: { verb: string; ref: { resource: string } }) => {
        if (verb === 'watch' && ref.resource === 'secrets' && harness.clock.now() % 2 === 1)
          throw new NetworkError('down');
      },
    });
    await harness.run();
    await harness.clock.advance(1);
    harness.client.dropWatches(secretKind);
    const owner = await harness.create<KubeObject>(secretKind, { metadata: { name: 's', namespace: 'default' } });
    await create(harness, 'b', ownedBy(owner));
    for (let i = 0; i < 5; i++) await harness.clock.advance(2);
    expect(names(harness)).toEqual(['b']);
    await harness.stop();
  });

  it('ends right for any graph of owners, policies and faults', async () => {
    const step = fc.tuple(fc.nat(9), fc.constantFrom('Background', 'Foreground', 'Orphan'));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.nat(8), { maxLength: 2 }), { minLength: 10, maxLength: 10 }),
        fc.array(step, { maxLength: 5 }),
        fc.nat(999),
        async (graph, deletions, seed) => {
          const faults = seededRandom(seed);
          let faulty = true;
          const lose = ({ verb }: { verb: string }) => {
            if (faulty && verb !== 'watch' && verb !== 'list' && faults() < 0.2) throw new NetworkError('lost');
          };
          faulty = false;
          const harness = start({ seed, before: lose, after: lose });
          const made: KubeObject[] = [];
          for (const [i, owners] of graph.entries()) {
            const earlier = [...new Set(owners)].filter((owner) => owner < i);
            made.push(await create(harness, `o${i}`, ownedBy(...earlier.map((owner) => made[owner]))));
          }
          await harness.run();
          for (const [i, policy] of deletions) {
            faulty = false;
            await remove(harness, `o${i}`, policy).catch((error) => expect(error.code).toBe(404));
            faulty = true;
            if (faults() < 0.3) harness.client.dropWatches();
            if (faults() < 0.5) await harness.run(100);
          }
          faulty = false;
          for (let i = 0; i < 3; i++) await harness.run(100_000);
          const left = harness.client.objects(configMapKind);
          const uids = new Set(left.map((each) => each.metadata.uid));
          for (const each of left) {
            expect(each.metadata.deletionTimestamp, `${each.metadata.name} hangs`).toBeUndefined();
            const owners = each.metadata.ownerReferences ?? [];
            expect(
              owners.every((owner) => uids.has(owner.uid)),
              `${each.metadata.name} has a dangling owner`,
            ).toBe(true);
          }
          // Nothing went that was never deleted nor below something deleted.
          const doomed = new Set<number>(deletions.map(([i]) => i));
          for (const [i, owners] of graph.entries())
            if (owners.some((owner) => owner < i && doomed.has(owner))) doomed.add(i);
          for (const [i] of graph.entries()) if (!doomed.has(i)) expect(get(harness, `o${i}`)).toBeDefined();
          harness.takeWrites();
          harness.client.compact();
          harness.client.dropWatches();
          await harness.run(10_000);
          expect(harness.takeWrites()).toEqual([]);
          await harness.stop();
        },
      ),
      { numRuns: 60 },
    );
  });
});
