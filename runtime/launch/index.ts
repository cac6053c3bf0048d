// What the runtime and the composition roots import.
export { createLauncher, type LauncherOptions } from './launcher.ts';
export * from './port.ts';
export { printPlan, type Step } from './steps.ts';
