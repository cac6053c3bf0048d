// Pods of one operating system, and what only Windows has: host processes, user names with a domain.
import { fieldErrors } from '../field-error.ts';
import { isDns1123Subdomain } from '../names.ts';
import type { Container, PodSpec, WindowsSecurityContextOptions } from '../types/core-v1.ts';
import { type Findings, invalidEach } from './checks.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;

/** In upstream's order; those with a dot are of the pod's security context. */
const NOT_FOR_WINDOWS_PODS = [
  'securityContext.appArmorProfile',
  'securityContext.seLinuxOptions',
  'hostUsers',
  'hostPID',
  'hostIPC',
  'securityContext.seccompProfile',
  'securityContext.fsGroup',
  'securityContext.fsGroupChangePolicy',
  'securityContext.sysctls',
  'shareProcessNamespace',
  'securityContext.runAsUser',
  'securityContext.runAsGroup',
  'securityContext.supplementalGroups',
  'securityContext.supplementalGroupsPolicy',
  'securityContext.seLinuxChangePolicy',
] as const;

const NOT_FOR_WINDOWS_CONTAINERS = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'capabilities',
  'readOnlyRootFilesystem',
  'privileged',
  'allowPrivilegeEscalation',
  'procMount',
  'runAsUser',
  'runAsGroup',
] as const;

/** A pod that names its operating system uses nothing of the other's. */
export function* validateOperatingSystem(spec: PodSpec, field: string): Findings {
  if (!spec.os) return;
  const { name } = spec.os;
  if (!name) yield required(`${field}.os.name`);
  else if (name === 'windows') yield* windowsPod(spec, field);
  else if (name === 'linux') yield* linuxPod(spec, field);
  else yield notSupported(`${field}.os`, name, ['linux', 'windows']);
}

function* linuxPod(spec: PodSpec, field: string): Findings {
  const message = 'windows options cannot be set for a linux pod';
  if (spec.securityContext?.windowsOptions) yield forbidden(`${field}.securityContext.windowsOptions`, message);
  for (const [{ securityContext }, at] of containersOf(spec, field)) {
    if (securityContext?.windowsOptions) yield forbidden(`${at}.securityContext.windowsOptions`, message);
  }
}

function* windowsPod(spec: PodSpec, field: string): Findings {
  const message = 'cannot be set for a windows pod';
  for (const path of NOT_FOR_WINDOWS_PODS) {
    const [name = '', inner] = path.split('.');
    const outer = (spec as unknown as Record<string, Record<string, unknown> | undefined>)[name];
    const value: unknown = inner ? outer?.[inner] : outer;
    // Of some fields the zero value is no value; of the others even `false` says something.
    const isPlain = path === 'hostPID' || path === 'hostIPC';
    const isEmpty = isPlain ? !value : path === 'securityContext.sysctls' && (value as [] | undefined)?.length === 0;
    if (value !== undefined && !isEmpty) yield forbidden(`${field}.${path}`, message);
  }
  for (const [{ securityContext }, at] of containersOf(spec, field)) {
    for (const name of NOT_FOR_WINDOWS_CONTAINERS) {
      if (securityContext?.[name] !== undefined) yield forbidden(`${at}.securityContext.${name}`, message);
    }
  }
}

/** Host processes and others do not mix in a pod, and live in the host's network. */
export function* validateHostProcess(spec: PodSpec, field: string): Findings {
  const ofPod = spec.securityContext?.windowsOptions?.hostProcess;
  let all = 0;
  let hostProcesses = 0;
  for (const [{ securityContext }, at] of containersOf(spec, field)) {
    const own = securityContext?.windowsOptions?.hostProcess;
    all++;
    if (own ?? ofPod) hostProcesses++;
    if (ofPod !== undefined && own !== undefined && ofPod !== own) {
      const message = `pod hostProcess value must be identical if both are specified, was ${ofPod}`;
      yield invalid(`${at}.securityContext.windowsOptions.hostProcess`, own, message);
    }
  }
  if (hostProcesses === 0) return;
  if (hostProcesses !== all) {
    const message = 'If pod contains any hostProcess containers then all containers must be HostProcess containers';
    yield invalid(field, '', message);
  }
  if (!spec.hostNetwork) {
    const message = 'hostNetwork must be true if pod contains any hostProcess containers';
    yield invalid(`${field}.hostNetwork`, false, message);
  }
}

/** Every container with its path, in upstream's order. */
export function* containersOf(spec: PodSpec, field: string): Generator<[Container, string], void, undefined> {
  for (const list of ['initContainers', 'containers', 'ephemeralContainers'] as const) {
    for (const [i, container] of (spec[list] ?? []).entries()) yield [container, `${field}.${list}[${i}]`];
  }
}

export function* validateWindowsOptions(options: WindowsSecurityContextOptions | undefined, field: string): Findings {
  if (!options) return;
  const { gmsaCredentialSpecName, gmsaCredentialSpec, runAsUserName } = options;
  if (gmsaCredentialSpecName !== undefined) {
    const messages = isDns1123Subdomain(gmsaCredentialSpecName);
    yield* invalidEach(`${field}.gmsaCredentialSpecName`, gmsaCredentialSpecName, messages);
  }
  if (gmsaCredentialSpec === '') {
    yield invalid(`${field}.gmsaCredentialSpec`, '', 'gmsaCredentialSpec cannot be an empty string');
  } else if (gmsaCredentialSpec !== undefined && Buffer.byteLength(gmsaCredentialSpec) > 64 * 1024) {
    yield invalid(`${field}.gmsaCredentialSpec`, gmsaCredentialSpec, 'gmsaCredentialSpec size must be under 64 KiB');
  }
  if (runAsUserName !== undefined) {
    yield* invalidEach(`${field}.runAsUserName`, runAsUserName, [...userNameMessages(runAsUserName)]);
  }
}

const MAX_DOMAIN = 256;
const MAX_USER = 104;
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/;
const NETBIOS = /^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$/;
const DNS_LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?';
const DNS_DOMAIN = new RegExp(`^${DNS_LABEL}(?:\\.${DNS_LABEL})*$`);

/** `user` or `DOMAIN\\user`. */
function* userNameMessages(name: string): Generator<string, void, undefined> {
  const [first = '', second, ...more] = name.split('\\');
  if (name === '') yield 'runAsUserName cannot be an empty string';
  else if (CONTROL.test(name)) yield 'runAsUserName cannot contain control characters';
  else if (more.length > 0) yield 'runAsUserName cannot contain more than one backslash';
  else {
    const domain = second === undefined ? undefined : first;
    const user = second ?? first;
    if (domain !== undefined && Buffer.byteLength(domain) >= MAX_DOMAIN) {
      yield `runAsUserName's Domain length must be under ${MAX_DOMAIN} characters`;
    }
    if (domain !== undefined && !NETBIOS.test(domain) && !DNS_DOMAIN.test(domain)) {
      yield "runAsUserName's Domain doesn't match the NetBios nor the DNS format";
    }
    if (user === '') yield "runAsUserName's User cannot be empty";
    else if (Buffer.byteLength(user) > MAX_USER) {
      yield `runAsUserName's User length must not be longer than ${MAX_USER} characters`;
    }
    if (/^[. ]+$/.test(user)) yield "runAsUserName's User cannot contain only periods or spaces";
    if (/["/\\:;|=,+*?<>@[\]]/.test(user)) {
      yield 'runAsUserName\'s User cannot contain the following characters: "/\\:;|=,+*?<>@[]';
    }
  }
}
