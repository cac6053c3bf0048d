import { expect, it } from 'vitest';
import { readKubeletConfiguration } from './config.ts';
import { optionsOf } from './config-options.ts';

const head = { apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration' };
const read = (fields: object) => readKubeletConfiguration({ ...head, ...fields });

it('reads what kubeadm writes', () => {
  const settings = read({
    authentication: {
      anonymous: { enabled: false },
      webhook: { cacheTTL: '0s', enabled: true },
      x509: { clientCAFile: '/ca' },
    },
    authorization: { mode: 'Webhook', webhook: { cacheAuthorizedTTL: '0s', cacheUnauthorizedTTL: '0s' } },
    cgroupDriver: 'cgroupfs',
    clusterDNS: ['10.96.0.10'],
    clusterDomain: 'cluster.local',
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    cpuManagerReconcilePeriod: '0s',
    crashLoopBackOff: {},
    evictionPressureTransitionPeriod: '0s',
    fileCheckFrequency: '0s',
    healthzBindAddress: '127.0.0.1',
    healthzPort: 10248,
    imageMinimumGCAge: '0s',
    logging: { flushFrequency: 0, options: { json: {} }, verbosity: 0 },
    memorySwap: {},
    rotateCertificates: true,
    shutdownGracePeriod: '0s',
    shutdownGracePeriodCriticalPods: '0s',
    staticPodPath: '/etc/kubernetes/manifests',
    syncFrequency: '0s',
  });
  expect(settings).toMatchObject({
    clientCaFile: '/ca',
    runtimeEndpoint: '/run/containerd/containerd.sock',
    healthz: { address: '127.0.0.1', port: 10_248 },
    staticPodPath: '/etc/kubernetes/manifests',
  });
  expect(settings.shutdownGroups).toBeUndefined();
  expect(optionsOf(settings)).toMatchObject({ clusterDns: ['10.96.0.10'], staticPodPath: '/etc/kubernetes/manifests' });
});

it('reads thresholds, reservations, shutdown', () => {
  const settings = read({
    evictionHard: { 'memory.available': '5%' },
    evictionSoft: { 'nodefs.available': '20%' },
    evictionSoftGracePeriod: { 'nodefs.available': '1m30s' },
    systemReserved: { cpu: '100m', memory: '100Mi' },
    kubeReserved: { cpu: '200m' },
    shutdownGracePeriod: '30s',
    shutdownGracePeriodCriticalPods: '10s',
    containerLogMaxSize: '1Mi',
    crashLoopBackOff: { maxContainerRestartPeriod: '20s' },
  });
  expect(settings.eviction?.hard).toMatchObject({ 'memory.available': '5%', 'nodefs.available': '10%' });
  expect(settings.eviction?.softGraceMs).toEqual({ 'nodefs.available': 90_000 });
  expect(settings.reserved).toEqual({ cpu: '300m', memory: '100Mi' });
  expect(settings.shutdownGroups?.map((each) => each.seconds)).toEqual([20, 10]);
  expect(settings.containerLogs).toEqual({ maxBytes: 2 ** 20 });
  expect(settings.crashLoopMaxMs).toBe(20_000);
});

it.each([
  [{ maxPod: 1 }, 'maxPod: is not known or not supported'],
  [{ maxPods: -1 }, 'maxPods: -1 is not a whole number'],
  [{ clusterDNS: '10.0.0.1' }, 'clusterDNS: is not a list'],
  [{ cgroupDriver: 'systemd' }, 'cgroupDriver: "systemd" is not supported; supported: "cgroupfs"'],
  [{ authentication: { anonymous: { enabled: true } } }, 'authentication.anonymous.enabled: true is not supported'],
  [{ authorization: { mode: 'AlwaysAllow' } }, 'authorization.mode: "AlwaysAllow" is not supported'],
  [{ evictionHard: { 'memory.available': 'x' } }, 'not a quantity'],
  [{ evictionPressureTransitionPeriod: '5' }, '"5" is not a duration'],
  [{ imageGCLowThresholdPercent: 90 }, 'must be less than imageGCHighThresholdPercent'],
  [{ shutdownGracePeriod: '5s', shutdownGracePeriodCriticalPods: '10s' }, 'must not be more than'],
  [{ kind: 'Pod' }, 'does not hold a kubelet.config.k8s.io/v1beta1 KubeletConfiguration'],
])('refuses %j', (fields, message) => {
  expect(() => read(fields)).toThrow(message);
});
