// The options of `sampan up` and `sampan demo`, as commander hands them over.

import type { AccessFlags } from './access-flags.ts';
import type { OperationsFlags } from './operations-flags.ts';

export interface NodeFlags {
  nodeName?: string;
  nodeIp?: string;
  podCidr: string;
  bridge: string;
  cniConfDir?: string;
  cniBinDir?: string[];
  maxPods: number;
  kubeletPort: number;
  clusterDns?: string;
  clusterDomain: string;
  cgroupRoot?: string;
  /** A file or directory of static pods. */
  podManifestPath?: string;
  /** A KubeletConfiguration. */
  kubeletConfig?: string;
}

export interface ApiServerFlags extends AccessFlags, OperationsFlags {
  dataDir: string;
  store: string;
  address: string;
  advertiseAddress?: string;
  port: number;
  serviceCidr: string;
  tlsSan?: string[];
  logLevel: 'debug' | 'info' | 'warn' | 'error';
}

export type UpFlags = NodeFlags & ApiServerFlags;
