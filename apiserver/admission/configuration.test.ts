import { expect, it } from 'vitest';
import { parseAdmissionConfiguration } from './configuration.ts';

const head = 'apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n';
const config = (more: string) =>
  `{apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration, ${more}}`;
const inline = (more: string) => `${head}- {name: PodSecurity, configuration: ${config(more)}}\n`;
const credentials = () => () => undefined;
const nothing = { file: () => '', credentials };

it('reads what PodSecurity is to do by default, and whom it lets pass', () => {
  const more =
    'defaults: {enforce: baseline, enforce-version: v1.30, warn: restricted}, exemptions: {namespaces: [kube-system]}';
  const expected = {
    podSecurity: {
      defaults: {
        enforce: { level: 'baseline', version: 30 },
        audit: { level: 'privileged', version: 'latest' },
        warn: { level: 'restricted', version: 'latest' },
      },
      exemptions: { usernames: [], runtimeClasses: [], namespaces: ['kube-system'] },
    },
  };
  expect(parseAdmissionConfiguration(inline(more), nothing)).toEqual(expected);
  const read = { file: (path: string) => (path === 'pods.yaml' ? config(more) : ''), credentials };
  expect(parseAdmissionConfiguration(`${head}- {name: PodSecurity, path: pods.yaml}\n`, read)).toEqual(expected);
  expect(parseAdmissionConfiguration(head, nothing)).toEqual({});
});

it('reads what is limited, how many events there may be, and who asks webhooks', () => {
  const text = `${head}
- name: ResourceQuota
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: ResourceQuotaConfiguration
    limitedResources:
    - resource: pods
      matchScopes: [{scopeName: PriorityClass, operator: In, values: [high]}]
    - {apiGroup: apps, resource: deployments, matchContains: [count/]}
- name: EventRateLimit
  configuration:
    apiVersion: eventratelimit.admission.k8s.io/v1alpha1
    kind: Configuration
    limits: [{type: Namespace, qps: 5, burst: 10, cacheSize: 20}]
- name: ValidatingAdmissionWebhook
  configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: /etc/k}
`;
  const of = () => ({ token: 'secret' });
  const read = { file: () => '', credentials: (path: string) => (path === '/etc/k' ? of : () => undefined) };
  expect(parseAdmissionConfiguration(text, read)).toEqual({
    limitedResources: [
      {
        group: '',
        resource: 'pods',
        matchContains: [],
        matchScopes: [{ scopeName: 'PriorityClass', operator: 'In', values: ['high'] }],
      },
      { group: 'apps', resource: 'deployments', matchContains: ['count/'], matchScopes: [] },
    ],
    eventLimits: [{ type: 'Namespace', qps: 5, burst: 10, cacheSize: 20 }],
    webhookCredentials: { validating: of },
  });
});

const events = (limit: string) =>
  `${head}- {name: EventRateLimit, configuration: {apiVersion: eventratelimit.admission.k8s.io/v1alpha1, kind: Configuration, limits: [${limit}]}}\n`;
const webhook = (more: string) =>
  `${head}- {name: MutatingAdmissionWebhook, configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, ${more}}}\n`;

it.each([
  ['kind: Nonsense', /expected apiVersion apiserver.config.k8s.io\/v1, kind AdmissionConfiguration/],
  [
    `${head}- {name: ImagePolicyWebhook, path: a}\n`,
    /plugins\[0\].name: the plugin "ImagePolicyWebhook" takes no configuration/,
  ],
  [`${head}- {name: PodSecurity}\n`, /plugins\[0\].configuration: Required value/],
  [events(''), /limits: Invalid value: null: must not be empty/],
  [events('{type: Pod, qps: 1, burst: 1}'), /limits\[0\].type: Unsupported value: "Pod": supported values: "Server"/],
  [events('{type: User, qps: 0, burst: 1}'), /limits\[0\].qps: Invalid value: 0: must be positive/],
  [webhook('kubeConfigFile: k'), /kubeConfigFile must be an absolute file path, but got "k"/],
  [webhook('staticManifestsDir: /m'), /unknown field "staticManifestsDir"/],
  [inline('defaults: {enforce: strict}'), /defaults.enforce: Invalid value: "strict": must be one of privileged/],
  [
    inline('defaults: {warn-version: "1.2"}'),
    /defaults.warn-version: Invalid value: "1.2": must be "latest" or "v1.x"/,
  ],
  [inline('defaults: {deny: baseline}'), /unknown field "deny"/],
  [inline('exemptions: {usernames: [a, a]}'), /exemptions.usernames: Duplicate value: "a"/],
])('refuses %j', (text, problem) => expect(() => parseAdmissionConfiguration(text, nothing)).toThrow(problem));
