import { expect, it } from 'vitest';
import { parseAdmissionConfiguration } from './configuration.ts';

const head = 'apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n';
const config = (more: string) =>
  `{apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration, ${more}}`;
const inline = (more: string) => `${head}- {name: PodSecurity, configuration: ${config(more)}}\n`;
const nothing = () => '';

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
  const read = (path: string) => (path === 'pods.yaml' ? config(more) : '');
  expect(parseAdmissionConfiguration(`${head}- {name: PodSecurity, path: pods.yaml}\n`, read)).toEqual(expected);
  expect(parseAdmissionConfiguration(head, nothing)).toEqual({});
});

it.each([
  ['kind: Nonsense', /expected apiVersion apiserver.config.k8s.io\/v1, kind AdmissionConfiguration/],
  [
    `${head}- {name: ImagePolicyWebhook, path: a}\n`,
    /plugins\[0\].name: the plugin "ImagePolicyWebhook" takes no configuration/,
  ],
  [`${head}- {name: PodSecurity}\n`, /plugins\[0\].configuration: Required value/],
  [inline('defaults: {enforce: strict}'), /defaults.enforce: Invalid value: "strict": must be one of privileged/],
  [
    inline('defaults: {warn-version: "1.2"}'),
    /defaults.warn-version: Invalid value: "1.2": must be "latest" or "v1.x"/,
  ],
  [inline('defaults: {deny: baseline}'), /unknown field "deny"/],
  [inline('exemptions: {usernames: [a, a]}'), /exemptions.usernames: Duplicate value: "a"/],
])('refuses %j', (text, problem) => expect(() => parseAdmissionConfiguration(text, nothing)).toThrow(problem));
