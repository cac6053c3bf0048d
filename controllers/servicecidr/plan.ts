// What a ServiceCIDR needs: a finalizer, a Ready condition, and, when it is to be deleted, that no Service keeps an address which no
// other range has (k8s.io/kubernetes/pkg/controller/servicecidrs). Pure.
import type { IPAddress, ServiceCIDR } from '../../api/types/networking-v1.ts';
import { ipFamily, isWithin, singleCidr } from '../../api/validation/ip.ts';

export const FINALIZER = 'networking.k8s.io/service-cidr-finalizer';
/** Until then a server that does not know of the deletion yet may still hand out an address. */
const GRACE_MS = 10_000;
const MANAGED_BY = 'ipaddress.kubernetes.io/managed-by';
const ALLOCATOR = 'ipallocator.k8s.io';

export type CidrPlan =
  | { kind: 'protect' | 'release' | 'nothing' }
  | { kind: 'wait'; ms: number }
  | { kind: 'status'; status: 'True' | 'False'; reason: string; message: string };

const NOTHING: CidrPlan = { kind: 'nothing' };

/** `all` includes `cidr` itself. */
export function planCidr(
  cidr: ServiceCIDR,
  all: readonly ServiceCIDR[],
  addresses: readonly IPAddress[],
  nowMs: number,
): CidrPlan {
  const { finalizers = [], deletionTimestamp } = cidr.metadata;
  const isProtected = finalizers.includes(FINALIZER);
  if (!deletionTimestamp) {
    if (!isProtected) return { kind: 'protect' };
    return condition(cidr, 'True', '', 'Kubernetes Service CIDR is ready');
  }
  if (!isProtected) return NOTHING;
  if (!mayGo(cidr, all, addresses)) {
    const message =
      'There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR';
    return condition(cidr, 'False', 'Terminating', message);
  }
  const ms = Date.parse(deletionTimestamp) + GRACE_MS - nowMs;
  return ms > 0 ? { kind: 'wait', ms } : { kind: 'release' };
}

/** A condition that says so already stays as it is, whoever wrote it. */
function condition(cidr: ServiceCIDR, status: 'True' | 'False', reason: string, message: string): CidrPlan {
  const present = cidr.status?.conditions?.find(({ type }) => type === 'Ready');
  return present?.status === status ? NOTHING : { kind: 'status', status, reason, message };
}

const rangesOf = ({ spec }: ServiceCIDR): string[] => spec?.cidrs ?? [];

const holds = (cidr: ServiceCIDR, inner: string): boolean => rangesOf(cidr).some((outer) => isWithin(inner, outer));

function mayGo(cidr: ServiceCIDR, all: readonly ServiceCIDR[], addresses: readonly IPAddress[]): boolean {
  const others = all.filter((each) => each.metadata.name !== cidr.metadata.name);
  if (rangesOf(cidr).every((range) => others.some((other) => holds(other, range)))) return true;
  return !addresses.some(({ metadata: { name = '', labels } }) => {
    if (labels?.[MANAGED_BY] !== ALLOCATOR) return false;
    const address = singleCidr(name);
    return holds(cidr, address) && !others.some((other) => holds(other, address));
  });
}

/** Names of the ranges whose plan may change with `cidr`: those that have addresses with it in common. */
export const overlapping = (cidr: ServiceCIDR, all: readonly ServiceCIDR[]): string[] =>
  all
    .filter((each) => rangesOf(cidr).some((a) => holds(each, a) || rangesOf(each).some((b) => holds(cidr, b))))
    .map((each) => each.metadata.name as string);

/** Names of the ranges that have the address. */
export const containing = ({ metadata: { name = '' } }: IPAddress, all: readonly ServiceCIDR[]): string[] =>
  all
    .filter((each) =>
      rangesOf(each).some((range) => ipFamily(range) === ipFamily(name) && holds(each, singleCidr(name))),
    )
    .map((each) => each.metadata.name as string);
