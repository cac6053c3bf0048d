// The restricted level: what a hardened pod must say, besides the baseline. The law is
// https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted. Pure.
import type { PodSpec, Volume } from '../../../api/types/core-v1.ts';
import { isGoodSeccomp, seccomp } from './baseline.ts';
import type { Check, Violation } from './evaluate.ts';
import { containerNames, containersOf, hasOwnUsers, isWindows, plural, quoted, setters, sorted } from './words.ts';

const unlessWindows = (check: (spec: PodSpec) => Found) => (spec: PodSpec) =>
  isWindows(spec) ? undefined : check(spec);
const unlessOwnUsers = (check: (spec: PodSpec) => Found) => (spec: PodSpec) =>
  hasOwnUsers(spec) ? undefined : check(spec);

export const RESTRICTED: readonly Check[] = [
  {
    id: 'allowPrivilegeEscalation',
    versions: [
      { from: 8, check: privilegeEscalation },
      { from: 25, check: unlessWindows(privilegeEscalation) },
    ],
  },
  {
    id: 'capabilities_restricted',
    overrides: ['capabilities_baseline'],
    versions: [
      { from: 22, check: capabilities },
      { from: 25, check: unlessWindows(capabilities) },
    ],
  },
  { id: 'restrictedVolumes', overrides: ['hostPathVolumes'], versions: [{ from: 0, check: volumes }] },
  {
    id: 'runAsNonRoot',
    versions: [
      { from: 0, check: runAsNonRoot },
      { from: 35, check: unlessOwnUsers(runAsNonRoot) },
    ],
  },
  {
    id: 'runAsUser',
    versions: [
      { from: 23, check: runAsUser },
      { from: 35, check: unlessOwnUsers(runAsUser) },
    ],
  },
  {
    id: 'seccompProfile_restricted',
    overrides: ['seccompProfile_baseline'],
    versions: [
      { from: 19, check: seccompRequired },
      { from: 25, check: (spec) => (isWindows(spec) ? seccomp(spec) : seccompRequired(spec)) },
    ],
  },
];

type Found = Violation | undefined;

function privilegeEscalation(spec: PodSpec): Found {
  const bad = containersOf(spec).filter((each) => each.securityContext?.allowPrivilegeEscalation !== false);
  if (bad.length === 0) return undefined;
  return {
    reason: 'allowPrivilegeEscalation != false',
    detail: `${containerNames(bad.map((each) => each.name))} must set securityContext.allowPrivilegeEscalation=false`,
  };
}

function capabilities(spec: PodSpec): Found {
  const keeping: string[] = [];
  const adding: string[] = [];
  const added = new Set<string>();
  for (const { name, securityContext } of containersOf(spec)) {
    const { drop = [], add = [] } = securityContext?.capabilities ?? {};
    if (!drop.includes('ALL')) keeping.push(name);
    const extra = add.filter((each) => each !== 'NET_BIND_SERVICE');
    if (extra.length > 0) adding.push(name);
    for (const each of extra) added.add(each);
  }
  const details: string[] = [];
  if (keeping.length > 0) details.push(`${containerNames(keeping)} must set securityContext.capabilities.drop=["ALL"]`);
  if (adding.length > 0) {
    details.push(
      `${containerNames(adding)} must not include ${quoted(sorted(added))} in securityContext.capabilities.add`,
    );
  }
  return details.length > 0 ? { reason: 'unrestricted capabilities', detail: details.join('; ') } : undefined;
}

const ALLOWED_VOLUMES = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
]);

function volumes(spec: PodSpec): Found {
  const typeOf = (volume: Volume) => Object.keys(volume).find((key) => key !== 'name') ?? 'unknown';
  const bad = (spec.volumes ?? []).filter((each) => !ALLOWED_VOLUMES.has(typeOf(each)));
  if (bad.length === 0) return undefined;
  const types = sorted(bad.map(typeOf));
  const names = bad.map((each) => each.name);
  const verb = plural('uses', 'use', names.length);
  return {
    reason: 'restricted volume types',
    detail: `${plural('volume', 'volumes', names.length)} ${quoted(names)} ${verb} restricted volume ${plural('type', 'types', types.length)} ${quoted(types)}`,
  };
}

function runAsNonRoot(spec: PodSpec): Found {
  const reason = 'runAsNonRoot != true';
  const ofPod = spec.securityContext?.runAsNonRoot;
  const own = containersOf(spec).map(({ name, securityContext }) => ({ name, value: securityContext?.runAsNonRoot }));
  const explicit = own.filter(({ value }) => value === false).map(({ name }) => name);
  if (ofPod === false || explicit.length > 0) {
    return { reason, detail: `${setters(ofPod === false, explicit)} must not set securityContext.runAsNonRoot=false` };
  }
  const silent = own.filter(({ value }) => value === undefined).map(({ name }) => name);
  if (ofPod === true || silent.length === 0) return undefined;
  return { reason, detail: `pod or ${containerNames(silent)} must set securityContext.runAsNonRoot=true` };
}

function runAsUser(spec: PodSpec): Found {
  const isPod = spec.securityContext?.runAsUser === 0;
  const bad = containersOf(spec).filter((each) => each.securityContext?.runAsUser === 0);
  if (!isPod && bad.length === 0) return undefined;
  const who = setters(
    isPod,
    bad.map((each) => each.name),
  );
  return { reason: 'runAsUser=0', detail: `${who} must not set runAsUser=0` };
}

function seccompRequired(spec: PodSpec): Found {
  const bad = seccomp(spec);
  if (bad) return bad;
  if (isGoodSeccomp(spec.securityContext?.seccompProfile?.type)) return undefined;
  const silent = containersOf(spec).filter((each) => !each.securityContext?.seccompProfile);
  if (silent.length === 0) return undefined;
  return {
    reason: 'seccompProfile',
    detail: `pod or ${containerNames(silent.map((each) => each.name))} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
  };
}
