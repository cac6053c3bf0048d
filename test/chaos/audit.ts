// Compares what the API says with what the runtime has and what is on the host. Each difference is a sentence.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../../api/types/core-v1.ts';
import type { CriClient } from '../../kubelet/cri/client.ts';
import { labels } from '../../kubelet/cri/labels.ts';
import { leaked, takePicture, type HostPicture } from '../leaks.ts';
import type { TestHost } from '../e2e/harness.ts';
import { pidsBelow } from '../e2e/observe.ts';
import { statusesOf } from './ledger.ts';

const list = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);

/** Empty when the node runs exactly what `pods` say, no more and no less. */
export async function audit(host: TestHost, cri: CriClient, pods: readonly Pod[]): Promise<string[]> {
  const found: string[] = [];
  const byUid = new Map(pods.map((pod) => [pod.metadata.uid ?? '', pod]));
  const [{ items: sandboxes = [] }, { containers = [] }] = await Promise.all([
    cri.call('ListPodSandbox', {}),
    cri.call('ListContainers', {}),
  ]);
  const runtimeDir = join(host.dataDir, 'runtime');
  const compare = (what: string, wanted: (string | undefined)[], known: (string | undefined)[]) => {
    const names = list(join(runtimeDir, what));
    for (const id of wanted) if (!names.includes(id ?? '')) found.push(`${what} has nothing about ${id}`);
    for (const name of names) if (!known.includes(name)) found.push(`${what}/${name} is unknown to the runtime`);
  };
  const ids = (items: { id?: string }[]) => items.map(({ id }) => id);
  compare('sandboxes', ids(sandboxes), ids(sandboxes));
  compare('containers', ids(containers), ids(containers));
  // The launcher has forgotten what has stopped.
  const up = sandboxes.filter(({ state }) => state === 'SANDBOX_READY');
  compare('launcher/sandboxes', ids(up), ids(up));
  const alive = containers.filter(({ state }) => state === 'CONTAINER_RUNNING');
  compare('launcher/containers', ids(alive), ids(containers));

  const uidOf = (each: { labels?: Record<string, string> }) => each.labels?.[labels.podUid] ?? '';
  for (const each of [...sandboxes, ...containers])
    if (!byUid.has(uidOf(each)))
      found.push(`the runtime has ${each.id} of a pod that the API does not: ${JSON.stringify(each.labels)}`);

  const addresses = new Map<string, string>();
  let inPodNetwork = 0;
  for (const [uid, pod] of byUid) {
    const name = pod.metadata.name ?? '';
    const runs = containers.filter((each) => uidOf(each) === uid && each.state === 'CONTAINER_RUNNING');
    const says = statusesOf(pod).filter(({ state }) => state?.running);
    const idOf = (id = '') => id.replace(/^.*:\/\//, '');
    for (const { name: container, containerID } of says)
      if (!runs.some(({ id }) => id === idOf(containerID)))
        found.push(`${name}/${container} is said to run as ${containerID} and does not`);
    for (const { id, metadata } of runs)
      if (!says.some(({ containerID }) => idOf(containerID) === id))
        found.push(`${name}/${metadata?.name} runs as ${id}, which the API does not know`);
    for (const each of new Set(runs.map(({ metadata }) => metadata?.name)))
      if (runs.filter(({ metadata }) => metadata?.name === each).length > 1) found.push(`${name}/${each} runs twice`);

    const ready = sandboxes.filter((each) => uidOf(each) === uid && each.state === 'SANDBOX_READY');
    if (ready.length > 1 || (runs.length > 0 && ready.length === 0))
      found.push(`${name} has ${ready.length} sandboxes that are ready`);
    if (pidsBelow(host.cgroup, uid).length > 0 !== runs.length > 0 && ready.length === 0)
      found.push(`${name} has processes ${pidsBelow(host.cgroup, uid)} and ${runs.length} running containers`);
    for (const { id } of ready) {
      const { status } = await cri.call('PodSandboxStatus', { podSandboxId: id ?? '' });
      const address = status?.network?.ip;
      if (!address || pod.spec?.hostNetwork) continue;
      inPodNetwork++;
      if (addresses.has(address)) found.push(`${name} and ${addresses.get(address)} both have ${address}`);
      addresses.set(address, name);
      if (runs.length > 0 && pod.status?.podIP !== address)
        found.push(`${name} is said to be at ${pod.status?.podIP} and is at ${address}`);
    }
  }

  const veths = execFileSync('ip', ['-n', host.netns, '-brief', 'link', 'show', 'type', 'veth'], { encoding: 'utf8' });
  const links = veths.split('\n').filter(Boolean).length;
  if (links !== inPodNetwork) found.push(`${links} links of pods for ${inPodNetwork} pods with an address`);
  for (const uid of list(join(host.dataDir, 'kubelet/pods')))
    if (!byUid.has(uid)) found.push(`the kubelet keeps files of ${uid}, which the API does not know`);
  for (const directory of list(join(host.dataDir, 'kubelet/logs')))
    if (!byUid.has(directory.split('_')[2] ?? ''))
      found.push(`logs are kept of ${directory}, which the API does not know`);
  return found;
}

/** What of a node is on the host: all that a pod may leave behind. Components come and go, and are left out. */
export function takeNodePicture(host: TestHost): HostPicture & { files: string[] } {
  const picture = takePicture([host.dir, host.cgroup]);
  return {
    ...picture,
    // Those of the classes of service stay with the node.
    cgroups: picture.cgroups.filter((each) => !/\/kubepods\/(burstable|besteffort)$/.test(each)),
    processes: picture.processes.filter((each) => /sampan-shim|sampan-exec|sampan-init|pause/.test(each)),
    links: execFileSync('ip', ['-n', host.netns, '-brief', 'link'], { encoding: 'utf8' })
      .split('\n')
      .map((line) => line.split(/[\s@]/)[0] ?? ''),
    nftTables: execFileSync('nsenter', [`--net=/run/netns/${host.netns}`, 'nft', 'list', 'ruleset'], {
      encoding: 'utf8',
    })
      .split('\n')
      .filter((line) => line.includes('dport 2')),
    files: [
      ...['runtime/sandboxes', 'runtime/containers', 'runtime/launcher/sandboxes', 'runtime/launcher/containers'],
      ...['kubelet/pods', 'kubelet/logs', 'kubelet/memory'],
    ].flatMap((directory) => list(join(host.dataDir, directory)).map((name) => `${directory}/${name}`)),
  };
}

export function leftBehind(before: ReturnType<typeof takeNodePicture>, host: TestHost): Record<string, string[]> {
  const now = takeNodePicture(host);
  const files = now.files.filter((each) => !before.files.includes(each));
  return { ...leaked(before, now), ...(files.length > 0 && { files }) };
}
