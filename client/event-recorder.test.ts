import { describe, expect, it } from 'vitest';
import { errors } from '../api/errors.ts';
import type { KubeObject } from '../api/object.ts';
import type { Event } from '../api/types/core-v1.ts';
import { FakeClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { createEventRecorder, eventRef } from './event-recorder.ts';
import { ClientClosedError, NetworkError } from './port.ts';
import { createFakeClient } from './testing/fake-client.ts';

const pod = (name = 'web'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'ns', uid: `uid-${name}`, resourceVersion: '7' },
});

function setUp(before: () => void = () => {}) {
  const clock = new FakeClock();
  const client = createFakeClient({ clock, before });
  const dropped: string[] = [];
  const log = { ...silentLogger, warn: (_: object, message: string) => void dropped.push(message) };
  let seed = 0;
  const recorder = createEventRecorder({
    client,
    component: 'test',
    clock,
    random: () => (seed = (seed + 0.137) % 1),
    log,
  });
  const events = () => client.objects<Event>(eventRef);
  return { clock, client, recorder, events, dropped };
}

describe('the event recorder', () => {
  it('names events of one moment so that they are listed in their order', async () => {
    const { recorder, events } = setUp();
    const reasons = ['Pulled', 'Created', 'Started', 'Killing', 'Stopped', 'Gone', 'Removed', 'Forgotten'];
    for (const reason of reasons) recorder.event(pod(), 'Normal', reason, reason);
    await recorder.flush();
    const byName = events().toSorted((a, b) => ((a.metadata.name as string) < (b.metadata.name as string) ? -1 : 1));
    expect(byName.map((each) => each.reason)).toEqual(reasons);
  });

  it('posts an event as kubectl describe shows it, then patches its count', async () => {
    const { clock, client, recorder, events } = setUp();
    recorder.event(pod(), 'Warning', 'BackOff', 'Back-off restarting');
    await recorder.flush();
    await clock.advance(5_000);
    recorder.event(pod(), 'Warning', 'BackOff', 'Back-off restarting');
    recorder.event(pod(), 'Warning', 'BackOff', 'Back-off restarting');
    await recorder.flush();
    expect(events()).toHaveLength(1);
    expect(events()[0]).toMatchObject({
      metadata: { namespace: 'ns', name: expect.stringMatching(/^web\.[0-9a-f]{16}$/) },
      involvedObject: {
        apiVersion: 'v1',
        kind: 'Pod',
        name: 'web',
        namespace: 'ns',
        uid: 'uid-web',
        resourceVersion: '7',
      },
      reason: 'BackOff',
      type: 'Warning',
      count: 3,
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:05Z',
      source: { component: 'test' },
    });
    expect(client.writes.map((write) => write.verb)).toEqual(['create', 'patch']);
  });

  it('names the component that recorded it', async () => {
    const { recorder, events } = setUp();
    recorder.withSource?.('deployment-controller').event(pod(), 'Normal', 'R', 'm');
    recorder.event(pod(), 'Normal', 'R', 'm');
    await recorder.flush();
    expect(
      events()
        .map((event) => event.source?.component)
        .sort(),
    ).toEqual(['deployment-controller', 'test']);
  });

  it('combines many different messages of one reason', async () => {
    const { recorder, events } = setUp();
    for (let i = 0; i < 15; i++) recorder.event(pod(), 'Normal', 'Pulled', `image ${i}`);
    await recorder.flush();
    expect(events()).toHaveLength(11);
    const combined = events().filter((event) => event.message?.startsWith('(combined from similar events): image 14'));
    expect(combined.map((event) => event.count)).toEqual([5]);
  });

  it('limits the events about one object, not those about another', async () => {
    const { clock, recorder, events } = setUp();
    const count = (name: string) =>
      events()
        .filter((event) => event.involvedObject.name === name)
        .reduce((sum, event) => sum + (event.count ?? 0), 0);
    for (let i = 0; i < 40; i++) recorder.event(pod(), 'Normal', `R${i}`, 'm');
    recorder.event(pod('other'), 'Normal', 'R', 'm');
    await recorder.flush();
    expect([count('web'), count('other')]).toEqual([25, 1]);
    await clock.advance(300_000);
    recorder.event(pod(), 'Normal', 'Again', 'm');
    recorder.event(pod(), 'Normal', 'Again', 'm');
    await recorder.flush();
    expect(count('web')).toBe(26);
  });

  it('drops the oldest, with a log line, when too many wait', async () => {
    let down = true;
    const { clock, recorder, events, dropped } = setUp(() => {
      if (down) throw new NetworkError('down');
    });
    for (let i = 0; i < 1_010; i++) recorder.event(pod(`p${i}`), 'Normal', 'R', 'm');
    down = false;
    await clock.advance(60_000);
    await recorder.flush();
    expect(dropped).toHaveLength(10);
    const names = new Set(events().map((event) => event.involvedObject.name));
    expect([names.has('p0'), names.has('p10'), names.has('p1009')]).toEqual([false, true, true]);
  });

  it('never throws and gives a refused event up', async () => {
    const { recorder, events } = setUp(() => {
      throw errors.forbidden(eventRef, '', 'namespace is being terminated');
    });
    recorder.event({ metadata: {} }, 'Normal', 'R', 'm');
    await recorder.flush();
    expect(events()).toEqual([]);
  });

  it('names the part of the object, and keeps events of different parts apart', async () => {
    const { recorder, events } = setUp();
    for (const name of ['a', 'b']) {
      recorder.event({ ...pod(), fieldPath: `spec.containers{${name}}` }, 'Normal', 'Started', 'Container started');
    }
    await recorder.flush();
    expect(events().map((each) => [each.involvedObject.fieldPath, each.count])).toEqual([
      ['spec.containers{a}', 1],
      ['spec.containers{b}', 1],
    ]);
  });

  it('gives up what waits once its client is closed', async () => {
    let tried = 0;
    const { recorder } = setUp(() => {
      tried++;
      throw new ClientClosedError('closed');
    });
    for (const name of ['a', 'b', 'c']) recorder.event(pod(name), 'Normal', 'Pulled', 'pulled');
    await recorder.flush();
    expect(tried).toBe(1);
  });
});
