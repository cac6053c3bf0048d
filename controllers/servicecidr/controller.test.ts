import { describe, expect, it } from 'vitest';
import { ipAddress as addressKind } from '../../api/kinds/ip-address.ts';
import { serviceCidr as cidrKind } from '../../api/kinds/service-cidr.ts';
import type { IPAddress, ServiceCIDR } from '../../api/types/networking-v1.ts';
import { startHarness } from '../testing/harness.ts';
import { runServiceCidrController } from './controller.ts';
import { FINALIZER, planCidr } from './plan.ts';

const cidr = (name: string, cidrs: string[], metadata: object = {}, ready?: string): ServiceCIDR => ({
  metadata: { name, ...metadata },
  spec: { cidrs },
  ...(ready && {
    status: { conditions: [{ type: 'Ready', status: ready, reason: '', message: '', lastTransitionTime: '' }] },
  }),
});
const address = (name: string): IPAddress => ({
  metadata: { name, labels: { 'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io' } },
  spec: { parentRef: { resource: 'services', namespace: 'default', name: 'web' } },
});

describe('the plan', () => {
  const own = { finalizers: [FINALIZER] };
  const going = { ...own, deletionTimestamp: '2026-01-01T00:00:00Z' };
  const now = Date.UTC(2026, 0, 1, 0, 1);
  const wide = cidr('wide', ['10.0.0.0/16'], own, 'True');
  it.each<[string, ServiceCIDR, ServiceCIDR[], string[], unknown]>([
    ['protects what is new', cidr('a', ['10.0.0.0/24']), [], [], { kind: 'protect' }],
    ['says that it is ready', cidr('a', ['10.0.0.0/24'], own), [], [], { kind: 'status', status: 'True' }],
    ['says so once', cidr('a', ['10.0.0.0/24'], own, 'True'), [], [], { kind: 'nothing' }],
    ['lets go of what is not used', cidr('a', ['10.0.0.0/24'], going, 'True'), [], ['10.1.0.1'], { kind: 'release' }],
    [
      'keeps what has addresses',
      cidr('a', ['10.0.0.0/24'], going, 'True'),
      [],
      ['10.0.0.7'],
      { kind: 'status', status: 'False', reason: 'Terminating' },
    ],
    ['unless another has them', cidr('a', ['10.0.0.0/24'], going, 'True'), [wide], ['10.0.0.7'], { kind: 'release' }],
    [
      'of both families',
      cidr('a', ['10.0.0.0/24', 'fd00::/112'], going, 'True'),
      [wide],
      ['fd00::7'],
      { kind: 'status', status: 'False' },
    ],
  ])('%s', (_, each, others, used, expected) => {
    expect(planCidr(each, [each, ...others], used.map(address), now)).toMatchObject(expected as object);
  });

  it('waits until every server knows', () => {
    const each = cidr('a', ['10.0.0.0/24'], going, 'True');
    const soon = Date.UTC(2026, 0, 1, 0, 0, 4);
    expect(planCidr(each, [each], [], soon)).toEqual({ kind: 'wait', ms: 6_000 });
  });
});

it('a range goes when the last address of it has gone', async () => {
  const harness = startHarness([runServiceCidrController]);
  try {
    await harness.create(cidrKind, cidr('more', ['10.0.0.0/24']));
    await harness.create(addressKind, address('10.0.0.7'));
    await harness.run();
    const cidrs = harness.client.resource<ServiceCIDR>(cidrKind);
    const ready = await cidrs.get('more');
    expect(ready.metadata.finalizers).toEqual([FINALIZER]);
    expect(ready.status?.conditions).toMatchObject([{ type: 'Ready', status: 'True' }]);
    await cidrs.delete('more');
    await harness.run(20_000);
    expect((await cidrs.get('more')).status?.conditions).toMatchObject([{ status: 'False', reason: 'Terminating' }]);
    await harness.client.resource(addressKind).delete('10.0.0.7');
    await harness.run(20_000);
    expect(harness.client.objects(cidrKind)).toEqual([]);
    harness.takeWrites();
    await harness.run(5_000);
    expect(harness.takeWrites()).toEqual([]);
  } finally {
    await harness.stop();
  }
});
