// What an AdmissionConfiguration says of PodSecurity: levels of namespaces without labels, and exemptions. Pure.
import { record } from '../configuration-fields.ts';
import { type Level, type Policy, PRIVILEGED_POLICY, type Version } from './levels.ts';
import type { PodSecurityOptions } from './plugin.ts';

const LEVELS = ['privileged', 'baseline', 'restricted'];
const PLUGIN_VERSIONS = ['v1', 'v1beta1', 'v1alpha1'].map((each) => `pod-security.admission.config.k8s.io/${each}`);

/** Throws with the field that is wrong. */
export function parsePodSecurity(value: unknown, at: string): Pick<PodSecurityOptions, 'defaults' | 'exemptions'> {
  const fields = record(value, at, ['apiVersion', 'kind', 'defaults', 'exemptions']);
  if (fields['kind'] !== 'PodSecurityConfiguration' || !PLUGIN_VERSIONS.includes(String(fields['apiVersion']))) {
    throw new Error(`${at}: expected apiVersion ${PLUGIN_VERSIONS[0]}, kind PodSecurityConfiguration`);
  }
  const modes = ['enforce', 'audit', 'warn'] as const;
  const known = modes.flatMap((mode) => [mode, `${mode}-version`]);
  const given = record(fields['defaults'] ?? {}, `${at}.defaults`, known);
  const defaults: Policy = { ...PRIVILEGED_POLICY };
  for (const mode of modes) {
    const level = given[mode] ?? 'privileged';
    if (!LEVELS.includes(level as string)) {
      throw new Error(
        `${at}.defaults.${mode}: Invalid value: ${JSON.stringify(level)}: must be one of ${LEVELS.join(', ')}`,
      );
    }
    const version = given[`${mode}-version`] ?? 'latest';
    const minor = /^v1\.(0|[1-9]\d*)$/.exec(String(version))?.[1];
    if (minor === undefined && version !== 'latest') {
      throw new Error(
        `${at}.defaults.${mode}-version: Invalid value: ${JSON.stringify(version)}: must be "latest" or "v1.x"`,
      );
    }
    defaults[mode] = { level: level as Level, version: (minor === undefined ? 'latest' : Number(minor)) as Version };
  }
  const exempt = record(fields['exemptions'] ?? {}, `${at}.exemptions`, ['usernames', 'runtimeClasses', 'namespaces']);
  const names = (name: string): string[] => {
    const list = exempt[name] ?? [];
    if (!Array.isArray(list) || list.some((each) => typeof each !== 'string' || each === '')) {
      throw new Error(`${at}.exemptions.${name}: must be a list of names`);
    }
    const doubled = list.find((each, i) => list.indexOf(each) !== i);
    if (doubled !== undefined) throw new Error(`${at}.exemptions.${name}: Duplicate value: ${JSON.stringify(doubled)}`);
    return list;
  };
  return {
    defaults,
    exemptions: {
      usernames: names('usernames'),
      runtimeClasses: names('runtimeClasses'),
      namespaces: names('namespaces'),
    },
  };
}
