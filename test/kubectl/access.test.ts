// Who may what, and the kubectl around it: auth, tokens, certificates, config, proxy, completion, plugins, and why a pod
// cannot be spoken to.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { expect } from 'vitest';
import { withEveryKubectl } from './sessions.ts';

const { rows, work } = withEveryKubectl('ends');

rows('asks what it may and who it is', [
  ['auth can-i --list', /^Resources +Non-Resource URLs +Resource Names +Verbs\n\*\.\* +\[\] +\[\] +\[\*\]/],
  [
    'auth can-i --list --as=bob --as-group=system:authenticated --namespace=default',
    /selfsubjectaccessreviews\.authorization\.k8s\.io +\[\] +\[\] +\[create\]\n[^]*\[\/healthz\] +\[\] +\[get\]\n/,
  ],
  ['auth can-i --list --no-headers', /^\*\.\* /],
  ['auth can-i get pods/log', 'yes\n'],
  ['auth can-i create pods --subresource=exec', 'yes\n'],
  ['auth can-i get pods -A', 'yes\n'],
  ['auth can-i get pods --as=bob', 'no\n', { code: 1 }],
  ['auth can-i get pods --as=bob -q', '', { code: 1 }],
  ['auth can-i get /healthz --as=bob --as-group=system:authenticated', 'yes\n'],
  ['auth can-i get pod/a', 'yes\n'],
  ['auth can-i get nosuch', 'yes\n', { err: /Warning: the server doesn't have a resource type 'nosuch'/ }],
  // kubectl 1.27 knows the alpha and the beta of this API only, which Kubernetes 1.36 has no more.
  ['!auth whoami', /^error: the selfsubjectreviews API is not enabled in the cluster\n/, { until: 27 }],
  [
    'auth whoami',
    /^ATTRIBUTE +VALUE\nUsername +kubernetes-admin\nGroups +\[system:masters system:authenticated\]\n/,
    { since: 28 },
  ],
  ['auth whoami -o yaml', /kind: SelfSubjectReview\n[^]*username: kubernetes-admin\n/, { since: 28 }],
  ['auth whoami --as=bob', /^ATTRIBUTE +VALUE\nUsername +bob\n/, { since: 28 }],
  [
    'auth reconcile -f -',
    /role\S+\/rec reconciled/,
    'apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: rec, namespace: VERSION}\nrules: []\n',
  ],
  [
    'auth reconcile -f -',
    'role.rbac.authorization.k8s.io/rec reconciled\n',
    {
      input:
        'apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: rec, namespace: VERSION}\nrules: [{apiGroups: [""], resources: [pods], verbs: [get]}]\n',
      err: /^\treconciliation required update\n\tmissing rules added:\n\t\t\{Verbs:\[get\] APIGroups:\[\] Resources:\[pods\] /,
    },
  ],
  [
    '!get pods --as=bob',
    'Error from server (Forbidden): pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "VERSION"\n',
  ],
  [
    '!get nodes --as=bob',
    'Error from server (Forbidden): nodes is forbidden: User "bob" cannot list resource "nodes" in API group "" at the cluster scope\n',
  ],
  [
    '!create role r --verb=get --resource=secrets --as=system:serviceaccount:VERSION:default',
    /^Error from server \(Forbidden\): roles\.rbac\.authorization\.k8s\.io is forbidden: User "system:serviceaccount:VERSION:default" cannot create resource "roles" in API group "rbac\.authorization\.k8s\.io" in the namespace "VERSION"\n$/,
  ],
]);

work('creates tokens', async (session) => {
  const { server, name: namespace, ok, minor } = session;
  const { body: pod } = await server.call('POST', `/api/v1/namespaces/${namespace}/pods`, {
    body: { metadata: { name: 'bound' }, spec: { containers: [{ name: 'c', image: 'i' }] } },
  });
  const claims = async (flags: string) => {
    const token = (await ok(`create token default ${flags}`)).trim();
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  };
  const plain = await claims('');
  expect(plain).toMatchObject({ sub: `system:serviceaccount:${namespace}:default` });
  const given = await claims('--duration=20m --audience=one --audience=two');
  expect([given.aud, given.exp - given.iat]).toEqual([['one', 'two'], 1200]);
  const bound = await claims(
    `--bound-object-kind=Pod --bound-object-name=bound --bound-object-uid=${pod.metadata.uid}`,
  );
  expect(bound['kubernetes.io']).toMatchObject({ pod: { name: 'bound', uid: pod.metadata.uid } });
  if (minor >= 31) {
    const ofNode = await claims('--bound-object-kind=Node --bound-object-name=node-VERSION');
    expect(ofNode['kubernetes.io']).toMatchObject({ node: { name: `node-${namespace}` } });
  }
  await session.rows([
    ['create token default -o jsonpath={.kind}', 'TokenRequest'],
    [
      '!create token default --duration=10s',
      /spec\.expirationSeconds: Invalid value: 10: may not specify a duration less than 10 minutes/,
    ],
    ['!create token nosuch', 'error: failed to create token: serviceaccounts "nosuch" not found\n'],
    [
      '!create token default --bound-object-kind=Pod --bound-object-name=nosuch',
      'error: failed to create token: pods "nosuch" not found\n',
    ],
    [
      '!create token default --bound-object-kind=Pod --bound-object-name=bound --bound-object-uid=other',
      /the UID in the bound object reference \(other\) does not match the UID in record|does not match/,
    ],
  ]);
});

async function certificateRequest(commonName: string): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as never;
  const options = { name: [{ CN: [commonName] }], keys, signingAlgorithm: algorithm };
  const request = await x509.Pkcs10CertificateRequestGenerator.create(options, webcrypto as never);
  return Buffer.from(`${request.toString('pem')}\n`).toString('base64');
}

work('approves and denies certificates', async (session) => {
  const request = await certificateRequest(`someone-${session.name}`);
  const manifest = (name: string) => `apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: { name: ${name}-VERSION }
spec: { request: ${request}, signerName: kubernetes.io/kube-apiserver-client, usages: [client auth], expirationSeconds: 3600 }
`;
  const csr = 'certificatesigningrequest.certificates.k8s.io';
  await session.rows([
    ['create -f -', `${csr}/yes-VERSION created\n`, manifest('yes')],
    ['create -f -', `${csr}/no-VERSION created\n`, manifest('no')],
    [
      'get csr yes-VERSION',
      /^NAME +AGE +SIGNERNAME +REQUESTOR +REQUESTEDDURATION +CONDITION\nyes-VERSION +\S+ +kubernetes\.io\/kube-apiserver-client +kubernetes-admin +60m +Pending\n$/,
    ],
    [
      'describe csr yes-VERSION',
      /Requesting User: +kubernetes-admin\nSigner: +kubernetes\.io\/kube-apiserver-client\n(Requested Duration: +60m\n)?Status: +Pending\nSubject:\n\s+Common Name: +someone-VERSION\n/,
    ],
    ['certificate approve yes-VERSION', `${csr}/yes-VERSION approved\n`],
    ['certificate approve yes-VERSION', `${csr}/yes-VERSION approved\n`],
    ['certificate deny no-VERSION', `${csr}/no-VERSION denied\n`],
    [
      '!certificate deny yes-VERSION',
      /certificate request "yes-VERSION" is already Approved|already approved|may not be both|cannot/i,
    ],
    ['get csr yes-VERSION no-VERSION', / Approved\n.* Denied\n$/],
    ['get csr yes-VERSION -o jsonpath={.status.conditions[0].reason}', 'KubectlApprove'],
    [
      '!certificate approve nosuch',
      'Error from server (NotFound): certificatesigningrequests.certificates.k8s.io "nosuch" not found\n',
    ],
  ]);
});

rows('keeps its own configuration', [
  ['config current-context', 'tester@sampan\n'],
  [
    'config get-contexts',
    /^CURRENT +NAME +CLUSTER +AUTHINFO +NAMESPACE\n\* +tester@sampan +sampan +tester +VERSION\n$/,
  ],
  ['config view', /certificate-authority-data: DATA\+OMITTED\n[^]*client-key-data: (DATA\+OMITTED|REDACTED)\n/],
  ['config view --minify --raw -o jsonpath={.contexts[0].context.namespace}', 'VERSION'],
  ['config set-context other --cluster=sampan --user=tester --namespace=kube-system', 'Context "other" created.\n'],
  ['--context=other get sa', '', { err: 'No resources found in kube-system namespace.\n' }],
  ['config use-context other', 'Switched to context "other".\n'],
  ['get pods', '', { err: 'No resources found in kube-system namespace.\n' }],
  ['config use-context tester@sampan', 'Switched to context "tester@sampan".\n'],
  ['config rename-context other another', 'Context "other" renamed to "another".\n'],
  ['config delete-context another', /^deleted context another from /],
  ['config set-credentials who --token=nonsense', 'User "who" set.\n'],
  ['!get pods --user=who', 'error: You must be logged in to the server (Unauthorized)\n'],
  ['config unset users.who', /^Property "users\.who" unset\.\n$/],
  ['!get pods --server=http://127.0.0.1:1', /The connection to the server 127\.0\.0\.1:1 was refused/],
  [
    '!get pods --insecure-skip-tls-verify --certificate-authority=x',
    /specifying a root certificates file with the insecure flag is not allowed|unable to read certificate-authority/,
  ],
  ['completion bash', /__start_kubectl/],
  ['__complete get deploy no', /^:4\n/],
  ['__complete get no', 'nodes\nnodes.metrics.k8s.io\n:4\n'],
  ['__complete get node node-V', /^:4\n/],
  ['options', /--as-group/],
]);

work('finds plugins', async ({ rows: all, write, dir }) => {
  write('bin/kubectl-hello', '#!/bin/sh\necho "hello $* from $KUBECONFIG" | cut -d/ -f1\n');
  const env = { PATH: `${dir}/bin:${process.env['PATH']}` };
  await all([
    ['hello world', 'hello world from \n', { env }],
    ['plugin list', /kubectl-hello\n/, { env }],
    ['!nosuchcommand', /^error: unknown command "nosuchcommand" for "kubectl"/],
  ]);
});

work('proxies plain HTTP, under a prefix, with files of its own', async ({ follow, write, name }) => {
  write('www/index.html', 'a page');
  const proxied = follow('proxy --port=0 --www=www --www-prefix=/files/ --api-prefix=/k8s/');
  try {
    const [, address] = /on (\S+)/.exec(await proxied.until(/Starting to serve on \S+\n/)) ?? [];
    const get = async (path: string) => {
      const answer = await fetch(`http://${address}${path}`);
      return [answer.status, await answer.text()];
    };
    expect(await get('/files/index.html')).toEqual([200, 'a page']);
    expect(await get(`/k8s/api/v1/namespaces/${name}`)).toEqual([200, expect.stringContaining('"kind":"Namespace"')]);
    expect(await get('/k8s/version')).toEqual([200, expect.stringContaining('"gitVersion":')]);
    expect((await get(`/k8s/api/v1/namespaces/${name}/pods/p/exec?command=x`))[0]).toBe(403);
    expect((await get('/api/v1/namespaces'))[0]).toBe(404);
  } finally {
    await proxied.end();
  }
});

rows('tells why a pod cannot be spoken to', [
  ['run p1 --image=nginx', 'pod/p1 created\n'],
  ['logs p1', ''],
  ['!exec p1 -- date', 'Error from server (BadRequest): pod p1 does not have a host assigned\n'],
  ['!attach p1', /Error from server \(BadRequest\): pod p1 does not have a host assigned/],
  [
    '!port-forward pod/p1 18080:80',
    'error: unable to forward port because pod is not running. Current status=Pending\n',
  ],
  ['!logs p1 -c nope', /container nope is not valid for pod p1/],
  ['!exec p1 -c nope -- date', /container nope is not valid for pod p1|container not found/],
  ['!exec nope -- date', 'Error from server (NotFound): pods "nope" not found\n'],
  ['!cp p1:/etc/hosts hosts', /pod p1 does not have a host assigned/],
  ['debug p1 --image=busybox -c eph --attach=false --profile=general', '', { err: /^(Warning|Defaulting)?/ }],
  ['get pod p1 -o jsonpath={.spec.ephemeralContainers[*].name}', 'eph'],
  ['describe pod p1', /Ephemeral Containers:\n {2}eph:\n/],
  ['debug p1 --copy-to=p1c --image=busybox -c dbg --attach=false', '', {}],
  ['get pod p1c -o jsonpath={.spec.containers[*].name}', 'p1 dbg'],
  ['debug p1 --copy-to=p1d --set-image=p1=busybox --attach=false', '', {}],
  ['get pod p1d -o jsonpath={.spec.containers[*].image}', 'busybox'],
  [
    'debug node/node-VERSION --image=busybox --attach=false --profile=sysadmin',
    /^Creating debugging pod node-debugger-node-VERSION-\w{5} with container debugger on node node-VERSION\.\n$/,
    { since: 30 },
  ],
  [
    'debug node/node-VERSION --image=busybox --attach=false',
    /^Creating debugging pod node-debugger-node-VERSION-\w{5} with container debugger on node node-VERSION\.\n$/,
  ],
]);
