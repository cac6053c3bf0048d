// What the runtime and the composition roots import.
export { createLauncher, type LauncherOptions } from './launcher.ts';
export * from './port.ts';
export { type ContainerHost, type Plan, planContainer } from './container-plan.ts';
export { readHost } from './host.ts';
export { planContainerRemoval, planSandbox, planSandboxRemoval, type SandboxHost } from './sandbox-plan.ts';
export { printPlan, type Step } from './steps.ts';
