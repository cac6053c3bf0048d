// Whether a container that has ended is to run again: its own rules, its own policy, then the pod's
// (k8s.io/kubernetes/pkg/api/v1/pod ContainerShouldRestart, AllContainersCouldRestart). Pure.
import type { Container, PodSpec } from './types/core-v1.ts';

/** The action of the first of a container's rules that its exit code matches. */
export function restartRule(container: Container, exitCode: number): string | undefined {
  for (const { action, exitCodes } of container.restartPolicyRules ?? []) {
    const values = exitCodes?.values ?? [];
    const matches = exitCodes?.operator === 'NotIn' ? !values.includes(exitCode) : values.includes(exitCode);
    if (exitCodes && matches) return action;
  }
  return undefined;
}

/** Some exit code of some container restarts the whole pod in place. */
export const mayRestartAll = (spec: PodSpec): boolean =>
  [...(spec.initContainers ?? []), ...(spec.containers ?? [])].some((each) =>
    each.restartPolicyRules?.some((rule) => rule.action === 'RestartAllContainers'),
  );

export function restartsAfter(container: Container, podPolicy: string | undefined, exitCode: number): boolean {
  const rule = restartRule(container, exitCode);
  if (rule !== undefined) return rule === 'Restart' || rule === 'RestartAllContainers';
  const policy = container.restartPolicy ?? podPolicy ?? 'Always';
  if (policy === 'Always') return true;
  return policy === 'OnFailure' && exitCode !== 0;
}
