// A KubeletConfiguration's settings as options of runKubelet. Pure.
import type { KubeletSettings } from './config.ts';
import type { KubeletOptions } from './options.ts';

type FromSettings = Partial<
  Pick<
    KubeletOptions,
    | 'staticPodPath'
    | 'clusterDns'
    | 'clusterDomain'
    | 'resolvConf'
    | 'maxPods'
    | 'podCidr'
    | 'cgroupRoot'
    | 'taints'
    | 'reserved'
    | 'eviction'
    | 'images'
    | 'allowedSysctls'
    | 'crashLoopMaxMs'
    | 'containerLogs'
    | 'podPidsLimit'
    | 'idsPerPod'
    | 'topology'
    | 'configz'
  >
>;

export function optionsOf(settings: KubeletSettings): FromSettings {
  const { clusterDns, staticPodPath, ...rest } = settings;
  const direct = {
    clusterDomain: rest.clusterDomain,
    resolvConf: rest.resolvConf,
    maxPods: rest.maxPods,
    podCidr: rest.podCidr,
    cgroupRoot: rest.cgroupRoot,
    taints: rest.taints,
    reserved: rest.reserved,
    eviction: rest.eviction,
    images: rest.images,
    allowedSysctls: rest.allowedSysctls,
    crashLoopMaxMs: rest.crashLoopMaxMs,
    containerLogs: rest.containerLogs,
    podPidsLimit: rest.podPidsLimit,
    idsPerPod: rest.idsPerPod,
    topology: rest.topology,
    staticPodPath: staticPodPath || undefined,
    clusterDns: clusterDns?.length ? clusterDns : undefined,
  };
  const given = Object.entries(direct).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(given), configz: settings };
}
