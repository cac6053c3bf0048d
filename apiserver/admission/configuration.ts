// The file of --admission-control-config-file (apiserver.config.k8s.io/v1 AdmissionConfiguration): what plugins are to know. What
// is said of plugins that take no configuration here is refused, not ignored. Pure but for what the given readers do.
import { parseYamlDocuments } from '../../api/yaml.ts';
import type { CredentialsOf } from '../webhooks/credentials.ts';
import { configurationOf, record } from './configuration-fields.ts';
import { parseEventLimits } from './event-limits.ts';
import type { AdmissionOptions } from './plugins.ts';
import { parsePodSecurity } from './pod-security/configuration.ts';
import { parseResourceQuota } from './quota/configuration.ts';

export type ConfiguredAdmission = Pick<
  AdmissionOptions,
  'podSecurity' | 'limitedResources' | 'eventLimits' | 'webhookCredentials'
>;

export interface ConfigurationReaders {
  /** Of a plugin's `path`. */
  file(path: string): string;
  /** The users of a kubeconfig, for the servers they are named after. */
  credentials(path: string): CredentialsOf;
}

const WEBHOOKS = [
  ['apiserver.config.k8s.io/v1', 'WebhookAdmissionConfiguration'],
  ['apiserver.config.k8s.io/v1alpha1', 'WebhookAdmission'],
] as const;

/** Throws with the field that is wrong. */
export function parseAdmissionConfiguration(text: string, read: ConfigurationReaders): ConfiguredAdmission {
  const root = record(parseYamlDocuments(text)[0]?.value, 'the configuration', ['apiVersion', 'kind', 'plugins']);
  if (root['kind'] !== 'AdmissionConfiguration' || root['apiVersion'] !== 'apiserver.config.k8s.io/v1') {
    throw new Error('expected apiVersion apiserver.config.k8s.io/v1, kind AdmissionConfiguration');
  }
  const plugins = root['plugins'] ?? [];
  if (!Array.isArray(plugins)) throw new Error('plugins: must be a list');
  const found: ConfiguredAdmission = {};
  const seen = new Set<unknown>();
  for (const [i, each] of plugins.entries()) {
    const at = `plugins[${i}]`;
    const { name, path, configuration } = record(each, at, ['name', 'path', 'configuration']);
    const parse = Object.hasOwn(PARSERS, String(name)) ? PARSERS[String(name)] : undefined;
    if (!parse) throw new Error(`${at}.name: the plugin ${JSON.stringify(name)} takes no configuration here`);
    if (seen.has(name)) throw new Error(`${at}.name: Duplicate value: ${JSON.stringify(name)}`);
    seen.add(name);
    const value =
      configuration ??
      (typeof path === 'string' && path !== '' ? parseYamlDocuments(read.file(path))[0]?.value : undefined);
    if (value === undefined) throw new Error(`${at}.configuration: Required value`);
    parse(value, `${at}.configuration`, found, read);
  }
  return found;
}

type Parse = (value: unknown, at: string, into: ConfiguredAdmission, read: ConfigurationReaders) => void;

const PARSERS: Readonly<Record<string, Parse>> = {
  PodSecurity: (value, at, into) => void (into.podSecurity = parsePodSecurity(value, at)),
  ResourceQuota: (value, at, into) => void (into.limitedResources = parseResourceQuota(value, at)),
  EventRateLimit: (value, at, into) => void (into.eventLimits = parseEventLimits(value, at)),
  MutatingAdmissionWebhook: webhooks('mutating'),
  ValidatingAdmissionWebhook: webhooks('validating'),
};

function webhooks(type: 'mutating' | 'validating'): Parse {
  return (value, at, into, read) => {
    const path = configurationOf(value, at, WEBHOOKS, ['kubeConfigFile'])['kubeConfigFile'] ?? '';
    if (path === '') return;
    if (typeof path !== 'string' || !path.startsWith('/')) {
      throw new Error(`${at}: kubeConfigFile must be an absolute file path, but got ${JSON.stringify(path)}`);
    }
    into.webhookCredentials = { ...into.webhookCredentials, [type]: read.credentials(path) };
  };
}
