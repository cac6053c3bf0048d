// Cleans up after a node whose processes were killed: containers, mounts, network and cgroups that its state on disk names.
import { readFileSync } from 'node:fs';
import { createMounter, removeKubeletState } from '../../kubelet/index.ts';
import type { Logger } from '../../lib/log.ts';
import { renderRemoval } from '../../proxy/nft.ts';
import { spawnNft } from '../../proxy/spawn-nft.ts';
import { cgroupRootOf, type Layout, runtimeFlagsFile } from '../layout.ts';
import { removePods, type RuntimeFlags, startNodeRuntime } from './node.ts';

/** Resolves with the number of pods that were still there. */
export async function cleanNode(layout: Layout, log: Logger): Promise<number> {
  const runtime = await startNodeRuntime(lastFlags(layout), log);
  const removed = await removePods(layout.criSocket);
  await removeKubeletState(layout.kubeletDir, createMounter());
  await runtime.teardown();
  await spawnNft(renderRemoval());
  return removed;
}

function lastFlags(layout: Layout): RuntimeFlags {
  const { dataDir } = layout;
  try {
    return { ...(JSON.parse(readFileSync(runtimeFlagsFile(layout), 'utf8')) as RuntimeFlags), dataDir };
  } catch {
    return { dataDir, podCidr: '10.244.0.0/24', bridge: 'sampan0', cgroupRoot: cgroupRootOf(dataDir) };
  }
}
