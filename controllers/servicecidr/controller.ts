// Keeps ServiceCIDRs ready, and from going while Services have addresses of them.
import { ipAddress as addressKind } from '../../api/kinds/ip-address.ts';
import { serviceCidr as cidrKind } from '../../api/kinds/service-cidr.ts';
import type { KubeObject } from '../../api/object.ts';
import { formatTime } from '../../api/time-format.ts';
import type { IPAddress, ServiceCIDR } from '../../api/types/networking-v1.ts';
import { createWorkQueue, isNotFound, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { containing, FINALIZER, overlapping, planCidr } from './plan.ts';

type Cidr = ServiceCIDR & KubeObject;
type Address = IPAddress & KubeObject;

export function runServiceCidrController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const name = 'servicecidr';
  const log = context.log.child({ controller: name });
  const { client, clock, random, informers } = context;
  const queue = createWorkQueue({ clock, random });
  const cidrs = informers.of<Cidr>(cidrKind);
  const addresses = informers.of<Address>(addressKind);
  const wake = (cidr: Cidr) => queue.add(cidr.metadata.name as string);
  // One that comes or goes may unblock or block others.
  const wakeAll = (cidr: Cidr) => {
    wake(cidr);
    for (const key of overlapping(cidr, cidrs.list())) queue.add(key);
  };
  cidrs.addHandler({ onAdd: wakeAll, onUpdate: wake, onDelete: wakeAll });
  const wakeHolders = (address: Address) => containing(address, cidrs.list()).forEach((key) => queue.add(key));
  addresses.addHandler({ onAdd: wakeHolders, onDelete: wakeHolders });

  async function reconcile(key: string): Promise<void> {
    const cidr = cidrs.get(key);
    if (!cidr) return;
    const plan = planCidr(cidr, cidrs.list(), addresses.list(), clock.now());
    const resource = client.resource<Cidr>(cidrKind);
    const finalizers = (cidr.metadata.finalizers ?? []).filter((each) => each !== FINALIZER);
    const withFinalizers = (list: string[]) =>
      resource.update({ ...cidr, metadata: { ...cidr.metadata, finalizers: list } });
    try {
      if (plan.kind === 'protect') await withFinalizers([...finalizers, FINALIZER]);
      else if (plan.kind === 'release') await withFinalizers(finalizers);
      else if (plan.kind === 'wait') queue.addAfter(key, plan.ms);
      else if (plan.kind === 'status') {
        const { status, reason, message } = plan;
        const ready = { type: 'Ready', status, reason, message, lastTransitionTime: formatTime(clock.now()) };
        const others = (cidr.status?.conditions ?? []).filter(({ type }) => type !== 'Ready');
        await resource.update(
          { ...cidr, status: { ...cidr.status, conditions: [...others, ready] } },
          { subresource: 'status' },
        );
      }
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  return runController({ name, queue, reconcile, informers: [cidrs, addresses], log }, signal);
}
