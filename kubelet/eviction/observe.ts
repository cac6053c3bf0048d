// What is free on the node, as eviction signals.
import type { FsUsage, NodeUsage } from '../stats/node-usage.ts';
import type { Observation, Observations, Signal } from './thresholds.ts';

/** `imageFs` undefined: images are on the node's own filesystem, or nobody says where. */
export function observationsOf(node: NodeUsage, imageFs: FsUsage | undefined): Observations {
  const images = imageFs ?? node.fs;
  const found: [Signal, Observation][] = [
    ['memory.available', { available: node.memory.availableBytes, capacity: node.memory.totalBytes }],
    ['nodefs.available', { available: node.fs.availableBytes, capacity: node.fs.capacityBytes }],
    ['nodefs.inodesFree', { available: node.fs.inodesFree, capacity: node.fs.inodes }],
    ['imagefs.available', { available: images.availableBytes, capacity: images.capacityBytes }],
    ['imagefs.inodesFree', { available: images.inodesFree, capacity: images.inodes }],
    ['pid.available', { available: node.maxProcesses - node.processes, capacity: node.maxProcesses }],
  ];
  return new Map(found);
}
