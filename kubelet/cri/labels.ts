// The labels and annotations by which a kubelet recognises its own sandboxes and containers after a restart
// (upstream pkg/kubelet/types and kuberuntime/labels; other CRI tools read them too).

export const labels = {
  podName: 'io.kubernetes.pod.name',
  podNamespace: 'io.kubernetes.pod.namespace',
  podUid: 'io.kubernetes.pod.uid',
  containerName: 'io.kubernetes.container.name',
} as const;

export const annotations = {
  hash: 'io.kubernetes.container.hash',
  restartCount: 'io.kubernetes.container.restartCount',
  terminationMessagePath: 'io.kubernetes.container.terminationMessagePath',
  terminationMessagePolicy: 'io.kubernetes.container.terminationMessagePolicy',
  /** Where the termination message is on the host: ours, so that a restarted kubelet finds the file. */
  terminationMessageHostPath: 'io.sampan.container.terminationMessageHostPath',
  podTerminationGracePeriod: 'io.kubernetes.pod.terminationGracePeriod',
  ports: 'io.kubernetes.container.ports',
  configSeen: 'kubernetes.io/config.seen',
  configSource: 'kubernetes.io/config.source',
} as const;
