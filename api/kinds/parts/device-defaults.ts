// Defaults of claims for devices (k8s.io/kubernetes/pkg/apis/resource/v1/defaults.go).
import type { DeviceClaim, DeviceSubRequest, DeviceToleration } from '../../types/resource-v1.ts';

/** In place. */
export function setDeviceClaimDefaults(claim: DeviceClaim | undefined): void {
  for (const request of claim?.requests ?? []) {
    if (request.exactly) setRequestDefaults(request.exactly);
    for (const each of request.firstAvailable ?? []) setRequestDefaults(each);
  }
}

function setRequestDefaults(request: Pick<DeviceSubRequest, 'allocationMode' | 'count' | 'tolerations'>): void {
  request.allocationMode ||= 'ExactCount';
  if (request.allocationMode === 'ExactCount') request.count ||= 1;
  setTolerationDefaults(request.tolerations);
}

/** In place. */
export function setTolerationDefaults(tolerations: readonly DeviceToleration[] | undefined): void {
  for (const toleration of tolerations ?? []) toleration.operator ||= 'Equal';
}
