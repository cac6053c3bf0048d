// The driver for this host.
import { readFileSync } from 'node:fs';
import type { CgroupDriver } from './driver.ts';
import { findHierarchies } from '../../lib/cgroups/hierarchy.ts';
import { createV1Driver } from './v1.ts';
import { createV2Driver } from './v2.ts';

/** `root` is the cgroup below which everything of ours lives, in every hierarchy. */
export function createCgroupDriver(
  root: string,
  mountInfo = readFileSync('/proc/self/mountinfo', 'utf8'),
): CgroupDriver {
  const hierarchies = findHierarchies(mountInfo);
  return hierarchies.mode === 'v2' ? createV2Driver(hierarchies, root) : createV1Driver(hierarchies, root);
}
