import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errors } from '../api/errors.ts';
import { type KubeObject, keyOf } from '../api/object.ts';
import { FakeClock, settle, systemClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { createInformer, createInformerFactory } from './informer.ts';
import { NetworkError, type ResourceRef } from './port.ts';
import { type ReflectorState, step } from './reflector.ts';
import { createClient } from './rest.ts';
import { createFakeClient } from './testing/fake-client.ts';
import { answerJson, type ScriptedRequest, startScriptedServer, statusBody } from './testing/scripted-server.ts';

const things: ResourceRef = { group: '', version: 'v1', resource: 'configmaps', kind: 'ConfigMap', namespaced: true };
const object = (name: string, resourceVersion: string, labels?: Record<string, string>): KubeObject => ({
  metadata: { name, namespace: 'ns', uid: `uid-${name}`, resourceVersion, ...(labels && { labels }) },
});

describe('the states of a reflector', () => {
  const watching: ReflectorState<KubeObject> = { kind: 'watching', resourceVersion: '9' };

  it('keeps the resume point of bookmarks and events when the connection is lost', () => {
    const bookmarked = step(watching, {
      kind: 'event',
      event: { type: 'BOOKMARK', object: { metadata: { resourceVersion: '20' } } },
    });
    expect(bookmarked).toEqual({ state: { kind: 'watching', resourceVersion: '20' } });
    expect(step(bookmarked.state, { kind: 'lost', expired: false }).state).toEqual(bookmarked.state);
  });

  it('goes back to empty on 410', () => {
    expect(step(watching, { kind: 'lost', expired: true }).state).toEqual({ kind: 'empty' });
  });

  it('drops a buffer of initial events that never ended', () => {
    const initial = step({ kind: 'empty' } as ReflectorState<KubeObject>, { kind: 'opened' }).state;
    const filled = step(initial, { kind: 'event', event: { type: 'ADDED', object: object('a', '3') } });
    expect(filled.change).toBeUndefined();
    expect(step(filled.state, { kind: 'lost', expired: false }).state).toEqual({ kind: 'empty' });
  });

  it('ignores what is older than the resume point, compared as numbers', () => {
    expect(step(watching, { kind: 'event', event: { type: 'MODIFIED', object: object('a', '8') } })).toEqual({
      state: watching,
    });
    expect(step(watching, { kind: 'event', event: { type: 'MODIFIED', object: object('a', '10') } }).change?.kind).toBe(
      'put',
    );
  });
});

describe('an informer', () => {
  it('equals the server after any interleaving of writes, lost connections, relists and duplicates', async () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd');
    const action = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('write' as const), name }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), name }) },
      fc.record({
        do: fc.constantFrom(
          'drop' as const,
          'compact' as const,
          'duplicate' as const,
          'fail' as const,
          'wait' as const,
        ),
        name,
      }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(action, { maxLength: 40 }),
        fc.constantFrom('list' as const, 'auto' as const),
        async (actions, mode) => {
          const clock = new FakeClock();
          let failures = 0;
          const client = createFakeClient({
            clock,
            before: ({ verb }) => {
              if ((verb === 'list' || verb === 'watch') && failures > 0) {
                failures--;
                throw failures % 2 ? errors.internal('injected') : new NetworkError('injected');
              }
            },
          });
          const informer = createInformer<KubeObject>(
            things,
            { client, clock, random: () => 0.5, log: silentLogger },
            { initial: { mode } },
          );
          informer.addIndex('first', (each) => [each.metadata.name?.[0] ?? '']);
          const seen = new Map<string, KubeObject>();
          const wrong: string[] = [];
          informer.addHandler({
            onAdd(each) {
              if (seen.has(keyOf(each))) wrong.push(`add of known ${keyOf(each)}`);
              seen.set(keyOf(each), each);
            },
            onUpdate(each, old) {
              if (seen.get(keyOf(each)) !== old) wrong.push(`update of ${keyOf(each)} from something else`);
              if (each.metadata.uid !== old.metadata.uid) wrong.push(`update of ${keyOf(each)} to another object`);
              seen.set(keyOf(each), each);
            },
            onDelete(each) {
              if (!seen.delete(keyOf(each))) wrong.push(`delete of unknown ${keyOf(each)}`);
            },
          });
          const stop = new AbortController();
          const running = informer.run(stop.signal);
          for (const { do: what, name: which } of actions) {
            const key = `ns/${which}`;
            if (what === 'write') {
              if (client.object(things, key))
                client.change<KubeObject & { data?: string }>(things, key, (each) => ({
                  ...each,
                  data: `${each.data ?? ''}x`,
                }));
              else await client.resource(things, 'ns').create({ metadata: { name: which } });
            } else if (what === 'remove') {
              if (client.object(things, key)) client.change(things, key, () => undefined);
            } else if (what === 'drop') client.dropWatches();
            else if (what === 'compact') {
              client.compact();
              client.dropWatches();
            } else if (what === 'duplicate') client.duplicateEvents(5);
            else if (what === 'fail') failures = 3;
            else await clock.advance(100);
          }
          for (let i = 0; i < 10; i++) await clock.advance(6_000);
          const truth = client.objects(things);
          const inOrder = (objects: Iterable<KubeObject>) =>
            [...objects].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
          expect(wrong).toEqual([]);
          expect(inOrder(informer.list())).toEqual(truth);
          expect(inOrder(seen.values())).toEqual(truth);
          expect(inOrder(informer.list('ns'))).toEqual(truth);
          for (const each of ['a', 'b', 'c', 'd']) {
            expect(informer.byIndex('first', each)).toEqual(truth.filter((found) => found.metadata.name === each));
          }
          stop.abort();
          await running;
          expect(clock.pending).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('falls back to a list when the server refuses sendInitialEvents', async () => {
    const clock = new FakeClock();
    const client = createFakeClient({ clock });
    await client.resource(things, 'ns').create({ metadata: { name: 'a' } });
    const real = client.resource;
    client.resource = (ref, namespace) => {
      const resource = real(ref, namespace) as never as ReturnType<typeof real>;
      const watch = resource.watch;
      resource.watch = (options) => {
        if (options.sendInitialEvents) throw errors.invalid({ group: '', kind: 'ListOptions' }, '', []);
        return watch(options);
      };
      return resource as never;
    };
    const factory = createInformerFactory({ client, clock, random: () => 0, log: silentLogger });
    const informer = factory.of(things);
    const stop = new AbortController();
    const running = factory.run(stop.signal);
    await informer.synced();
    expect(informer.list()).toHaveLength(1);
    const later = factory.of({ ...things, resource: 'secrets' });
    await later.synced();
    expect(factory.of(things)).toBe(informer);
    expect(factory.of(things, { namespace: 'other' })).not.toBe(informer);
    stop.abort();
    await running;
  });

  it('lists instead when initial events never end', async () => {
    const clock = new FakeClock();
    const client = createFakeClient({ clock });
    await client.resource(things, 'ns').create({ metadata: { name: 'a' } });
    const real = client.resource;
    client.resource = (ref, namespace) => {
      const resource = real(ref, namespace) as never as ReturnType<typeof real>;
      const watch = resource.watch;
      resource.watch = (options) => watch({ ...options, sendInitialEvents: false });
      return resource as never;
    };
    const informer = createInformer(things, { client, clock, random: () => 0, log: silentLogger });
    const stop = new AbortController();
    const running = informer.run(stop.signal);
    await clock.advance(2_900);
    expect(informer.isSynced).toBe(false);
    await clock.advance(200);
    expect(informer.list()).toHaveLength(1);
    stop.abort();
    await running;
  });

  it('rejects synced when the signal aborts first', async () => {
    const clock = new FakeClock();
    const informer = createInformer(things, {
      client: createFakeClient({ clock }),
      clock,
      random: () => 0,
      log: silentLogger,
    });
    await expect(informer.synced(AbortSignal.abort())).rejects.toThrow();
  });
});

describe('an informer over HTTP/2', () => {
  it('survives a cut within a line, 500, duplicates and 410', async () => {
    const line = (type: string, each: unknown) => `${JSON.stringify({ type, object: each })}\n`;
    const watches: ((request: ScriptedRequest) => void)[] = [
      ({ stream }) => {
        stream.respond({ ':status': 200 });
        stream.write(line('MODIFIED', object('a', '11', { seen: 'ü' })));
        stream.write(line('ADDED', object('b', '12')).slice(0, 30), () => stream.session?.destroy());
      },
      ({ stream }) => answerJson(stream, statusBody(500, 'InternalError', 'boom'), 500),
      ({ stream, query }) => {
        expect(query.get('resourceVersion')).toBe('11');
        stream.respond({ ':status': 200 });
        stream.write(
          line('MODIFIED', object('a', '11', { seen: 'ü' })) +
            line('ADDED', object('b', '12')) +
            line('ADDED', object('b', '12')),
        );
        stream.end(line('BOOKMARK', { metadata: { resourceVersion: '15' } }));
      },
      ({ stream, query }) => {
        expect(query.get('resourceVersion')).toBe('15');
        stream.respond({ ':status': 200 });
        stream.end(line('ERROR', statusBody(410, 'Expired', 'too old resource version')));
      },
      ({ stream, query }) => {
        expect(query.get('resourceVersion')).toBe('30');
        stream.respond({ ':status': 200 });
        stream.write(line('ADDED', object('d', '31')));
      },
    ];
    const lists = [
      { metadata: { resourceVersion: '10' }, items: [object('a', '5')] },
      { metadata: { resourceVersion: '30' }, items: [object('a', '11', { seen: 'ü' }), object('c', '29')] },
    ];
    const server = await startScriptedServer((request) => {
      if (request.query.get('watch')) watches.shift()?.(request);
      else answerJson(request.stream, lists.shift());
    });
    const client = createClient({ server: server.url, userAgent: 'test' }, { clock: systemClock, log: silentLogger });
    const informer = createInformer<KubeObject>(
      things,
      { client, clock: systemClock, random: () => 0, log: silentLogger },
      { initial: { mode: 'list' } },
    );
    const calls: string[] = [];
    informer.addHandler({
      onAdd: (each) => calls.push(`add ${each.metadata.name}`),
      onUpdate: (each) => calls.push(`update ${each.metadata.name} ${each.metadata.labels?.seen}`),
      onDelete: (each) => calls.push(`delete ${each.metadata.name}`),
    });
    const stop = new AbortController();
    const running = informer.run(stop.signal);
    await expect.poll(() => informer.get('ns/d')).toBeDefined();
    expect(calls).toEqual(['add a', 'update a ü', 'add b', 'delete b', 'add c', 'add d']);
    stop.abort();
    await running;
    client.close();
    await server.stop();
    await settle();
  });
});
