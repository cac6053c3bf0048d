// The file of --admission-control-config-file (apiserver.config.k8s.io/v1 AdmissionConfiguration). PodSecurity is what can be
// configured so; what is said of other plugins is refused, not ignored. Pure but for what `readFile` does.
import { parseYamlDocuments } from '../../api/yaml.ts';
import { type Level, type Policy, PRIVILEGED_POLICY, type Version } from './pod-security/levels.ts';
import type { PodSecurityOptions } from './pod-security/plugin.ts';

type Fields = Record<string, unknown>;

const LEVELS = ['privileged', 'baseline', 'restricted'];
const PLUGIN_VERSIONS = ['v1', 'v1beta1', 'v1alpha1'].map((each) => `pod-security.admission.config.k8s.io/${each}`);

/** `readFile`: of a plugin's `path`. Throws with the field that is wrong. */
export function parseAdmissionConfiguration(
  text: string,
  readFile: (path: string) => string,
): { podSecurity?: Pick<PodSecurityOptions, 'defaults' | 'exemptions'> } {
  const root = record(parseYamlDocuments(text)[0]?.value, 'the configuration', ['apiVersion', 'kind', 'plugins']);
  if (root['kind'] !== 'AdmissionConfiguration' || root['apiVersion'] !== 'apiserver.config.k8s.io/v1') {
    throw new Error('expected apiVersion apiserver.config.k8s.io/v1, kind AdmissionConfiguration');
  }
  const plugins = root['plugins'] ?? [];
  if (!Array.isArray(plugins)) throw new Error('plugins: must be a list');
  let podSecurity: ReturnType<typeof parsePodSecurity> | undefined;
  for (const [i, each] of plugins.entries()) {
    const at = `plugins[${i}]`;
    const { name, path, configuration } = record(each, at, ['name', 'path', 'configuration']);
    if (name !== 'PodSecurity') {
      throw new Error(`${at}.name: the plugin ${JSON.stringify(name)} takes no configuration here`);
    }
    if (podSecurity) throw new Error(`${at}.name: Duplicate value: "PodSecurity"`);
    const value =
      configuration ??
      (typeof path === 'string' && path !== '' ? parseYamlDocuments(readFile(path))[0]?.value : undefined);
    if (value === undefined) throw new Error(`${at}.configuration: Required value`);
    podSecurity = parsePodSecurity(value, `${at}.configuration`);
  }
  return podSecurity ? { podSecurity } : {};
}

function parsePodSecurity(value: unknown, at: string): Pick<PodSecurityOptions, 'defaults' | 'exemptions'> {
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

function record(value: unknown, at: string, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${at}: must be an object`);
  const unknown = Object.keys(value).find((each) => !known.includes(each));
  if (unknown !== undefined) throw new Error(`${at}: unknown field ${JSON.stringify(unknown)}`);
  return value as Fields;
}
