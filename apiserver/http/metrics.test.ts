// /metrics against the names, types and labels of kube-apiserver 1.36, as far as the things they count are there.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';

/** name type labels, of kube-apiserver; ours may not differ in any of the three. */
const UPSTREAM = `
aggregator_unavailable_apiservice gauge name
apiserver_admission_controller_admission_duration_seconds histogram name,operation,rejected,type
apiserver_admission_step_admission_duration_seconds histogram operation,rejected,type
apiserver_audit_event_total counter
apiserver_audit_requests_rejected_total counter
apiserver_cache_list_fetched_objects_total counter group,index,resource
apiserver_cache_list_returned_objects_total counter group,resource
apiserver_cache_list_total counter group,index,resource
apiserver_cel_compilation_duration_seconds histogram
apiserver_cel_evaluation_duration_seconds histogram
apiserver_client_certificate_expiration_seconds histogram
apiserver_current_inflight_requests gauge request_kind
apiserver_current_inqueue_requests gauge request_kind
apiserver_flowcontrol_current_executing_requests gauge flow_schema,priority_level
apiserver_flowcontrol_current_executing_seats gauge flow_schema,priority_level
apiserver_flowcontrol_current_limit_seats gauge priority_level
apiserver_flowcontrol_current_r gauge priority_level
apiserver_flowcontrol_demand_seats_average gauge priority_level
apiserver_flowcontrol_demand_seats_high_watermark gauge priority_level
apiserver_flowcontrol_demand_seats_smoothed gauge priority_level
apiserver_flowcontrol_demand_seats_stdev gauge priority_level
apiserver_flowcontrol_dispatched_requests_total counter flow_schema,priority_level
apiserver_flowcontrol_lower_limit_seats gauge priority_level
apiserver_flowcontrol_nominal_limit_seats gauge priority_level
apiserver_flowcontrol_request_execution_seconds histogram flow_schema,priority_level,type
apiserver_flowcontrol_seat_fair_frac gauge
apiserver_flowcontrol_target_seats gauge priority_level
apiserver_flowcontrol_upper_limit_seats gauge priority_level
apiserver_flowcontrol_work_estimated_seats histogram flow_schema,priority_level
apiserver_longrunning_requests gauge component,group,resource,scope,subresource,verb,version
apiserver_request_body_size_bytes histogram group,resource,verb
apiserver_request_duration_seconds histogram component,dry_run,group,resource,scope,subresource,verb,version
apiserver_request_filter_duration_seconds histogram filter
apiserver_request_sli_duration_seconds histogram component,group,resource,scope,subresource,verb,version
apiserver_request_total counter code,component,dry_run,group,resource,scope,subresource,system_client,verb,version
apiserver_requested_deprecated_apis gauge group,removed_release,resource,subresource,version
apiserver_resource_objects gauge group,resource
apiserver_resource_size_estimate_bytes gauge group,resource
apiserver_response_sizes histogram component,group,resource,scope,subresource,verb,version
apiserver_storage_events_received_total counter group,resource
apiserver_storage_list_evaluated_objects_total counter group,resource
apiserver_storage_list_fetched_objects_total counter group,resource
apiserver_storage_list_returned_objects_total counter group,resource
apiserver_storage_list_total counter group,resource
apiserver_storage_objects gauge resource
apiserver_storage_size_bytes gauge storage_cluster_id
apiserver_tls_handshake_errors_total counter
apiserver_watch_cache_consistent_read_total counter fallback,group,resource,success
apiserver_watch_cache_events_dispatched_total counter group,resource
apiserver_watch_cache_events_received_total counter group,resource
apiserver_watch_cache_initializations_total counter group,resource
apiserver_watch_cache_read_wait_seconds histogram group,resource
apiserver_watch_cache_resource_version gauge group,resource
apiserver_watch_events_sizes histogram group,resource,version
apiserver_watch_events_total counter group,resource,version
apiserver_watch_list_duration_seconds histogram group,resource,scope,version
authenticated_user_requests counter username
authentication_attempts counter result
authentication_duration_seconds histogram result
authentication_token_cache_active_fetch_count gauge status
authentication_token_cache_fetch_total counter status
authentication_token_cache_request_duration_seconds histogram status
authentication_token_cache_request_total counter status
authorization_attempts_total counter result
authorization_duration_seconds histogram result
etcd_bookmark_total counter group,resource
etcd_request_duration_seconds histogram group,operation,resource
etcd_requests_total counter group,operation,resource
field_validation_request_duration_seconds histogram field_validation
kube_apiserver_clusterip_allocator_allocated_ips gauge cidr
kube_apiserver_clusterip_allocator_allocation_duration_seconds histogram cidr
kube_apiserver_clusterip_allocator_allocation_total counter cidr,scope
kube_apiserver_clusterip_allocator_available_ips gauge cidr
kube_apiserver_nodeport_allocator_allocated_ports gauge
kube_apiserver_nodeport_allocator_available_ports gauge
kubernetes_build_info gauge build_date,compiler,git_commit,git_tree_state,git_version,go_version,major,minor,platform
pod_security_evaluations_total counter decision,mode,ocp_namespace,policy_level,policy_version,request_operation,resource,subresource
pod_security_exemptions_total counter request_operation,resource,subresource
process_cpu_seconds_total counter
process_max_fds gauge
process_network_receive_bytes_total counter
process_network_transmit_bytes_total counter
process_open_fds gauge
process_resident_memory_bytes gauge
process_start_time_seconds gauge
process_virtual_memory_bytes gauge
process_virtual_memory_max_bytes gauge
serviceaccount_legacy_tokens_total counter
serviceaccount_stale_tokens_total counter
serviceaccount_valid_tokens_total counter
version_info gauge binary,component,emulation,min_compat
watch_cache_capacity gauge group,resource`;

const STABLE = [
  'apiserver_admission_controller_admission_duration_seconds',
  'apiserver_admission_step_admission_duration_seconds',
  'apiserver_current_inflight_requests',
  'apiserver_longrunning_requests',
  'apiserver_request_duration_seconds',
  'apiserver_request_total',
  'apiserver_requested_deprecated_apis',
  'apiserver_response_sizes',
  'apiserver_storage_objects',
];

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

it('has upstream’s names, types, labels and stability', async () => {
  const path = '/api/v1/namespaces/default/configmaps';
  await server.call('GET', `${path}?watch=1&timeoutSeconds=1`);
  const watching = server.call('GET', `${path}?watch=1&resourceVersion=0&timeoutSeconds=2`);
  await server.call('POST', path, { body: { metadata: { name: 'a' } } });
  await server.call('GET', '/api/v1/endpoints');
  await server.call(
    'GET',
    `${path}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1`,
  );
  await server.call('POST', '/api/v1/namespaces/default/services', {
    body: { metadata: { name: 'a' }, spec: { type: 'NodePort', ports: [{ port: 80 }] } },
  });
  await server.call('GET', '/api/v1/pods', { token: 'wrong' });
  const { text, headers } = await server.call('GET', '/metrics');
  expect(headers['content-type']).toContain('text/plain; version=0.0.4');
  const families = new Map<string, { type: string; help: string; labels: Set<string> }>();
  for (const line of text.trimEnd().split('\n')) {
    const [, help, name, rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (name) {
      const family = families.get(name) ?? { type: '', help: '', labels: new Set<string>() };
      families.set(name, family);
      if (help === 'HELP') family.help = rest ?? '';
      else family.type = rest ?? '';
      continue;
    }
    const [, sample = '', labels = ''] = /^([a-z_0-9]+)(?:\{(.*)\})? -?[\d.e+-]+$/.exec(line) ?? [];
    expect(sample, line).not.toBe('');
    const owner = families.get(sample) ?? families.get(sample.replace(/_(bucket|sum|count)$/, ''));
    expect(owner, line).toBeDefined();
    for (const [, label = ''] of labels.matchAll(/([a-z_]+)="(?:[^"\\]|\\.)*"/g))
      if (label !== 'le') owner?.labels.add(label);
  }
  const ours = [...families]
    .filter(([name]) => UPSTREAM.includes(`\n${name} `))
    .map(([name, { type, labels }]) => [name, type, [...labels].sort().join(',')].join(' ').trimEnd())
    .sort();
  expect(ours).toEqual(UPSTREAM.trim().split('\n').sort());
  for (const name of STABLE) expect(families.get(name)?.help, name).toMatch(/^\[STABLE\] /);
  expect(families.get('process_open_fds')?.help).not.toContain('[');
  await watching;
});

it('counts what happened', async () => {
  const value = async (pattern: RegExp) =>
    Number(pattern.exec((await server.call('GET', '/metrics')).text)?.[1] ?? Number.NaN);
  const created =
    /^apiserver_request_total\{code="201",component="apiserver",dry_run="",group="",resource="configmaps",scope="namespace",subresource="",system_client="",verb="POST",version="v1"\} (\d+)$/m;
  const before = await value(created);
  const path = '/api/v1/namespaces/default/configmaps';
  await server.call('POST', path, { body: { metadata: { name: 'b' } } });
  expect(await value(created)).toBe(before + 1);
  const list = await server.call('GET', path);
  expect(await value(/^apiserver_storage_objects\{resource="configmaps"\} (\d+)$/m)).toBeGreaterThanOrEqual(
    list.body.items.length,
  );
  expect(
    await value(/^etcd_requests_total\{group="",operation="create",resource="configmaps"\} (\d+)$/m),
  ).toBeGreaterThan(1);
  expect(await value(/^authentication_attempts\{result="failure"\} (\d+)$/m)).toBe(1);
  expect(
    await value(/^apiserver_watch_events_total\{group="",resource="configmaps",version="v1"\} (\d+)$/m),
  ).toBeGreaterThan(0);
  expect(await value(/^kubernetes_build_info\{.*major="1",minor="36".*\} (\d+)$/m)).toBe(1);
  expect(
    await value(
      /^apiserver_requested_deprecated_apis\{group="",removed_release="",resource="endpoints",subresource="",version="v1"\} (\d+)$/m,
    ),
  ).toBe(1);
});

it('keeps what clients make up out of its labels', async () => {
  for (const path of ['/api/v1/nonsense-xyz', '/apis/nonsense-xyz/v1/a', '/nonsense-xyz'])
    await server.call('GET', path);
  expect((await server.call('GET', '/metrics')).text).not.toContain('nonsense-xyz');
});

/** The value of a series, by a pattern of its line. */
async function valueOf(name: string, labels: Record<string, string> = {}): Promise<number> {
  const { text } = await server.call('GET', '/metrics');
  for (const line of text.split('\n')) {
    if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
    if (Object.entries(labels).every(([key, value]) => line.includes(`${key}="${value}"`))) {
      return Number(line.slice(line.lastIndexOf(' ') + 1));
    }
  }
  return 0;
}

it('counts what the caches serve: objects looked at and shown, by index', async () => {
  const pods = { group: '', resource: 'pods' };
  const path = '/api/v1/namespaces/default/pods';
  await server.call('POST', '/api/v1/namespaces/default/serviceaccounts', { body: { metadata: { name: 'default' } } });
  const spec = { containers: [{ name: 'a', image: 'a' }], automountServiceAccountToken: false };
  await server.call('POST', path, { body: { metadata: { name: 'one' }, spec: { ...spec, nodeName: 'n1' } } });
  await server.call('POST', path, { body: { metadata: { name: 'two', labels: { a: 'b' } }, spec } });
  const list = 'apiserver_cache_list';
  const before = {
    lists: await valueOf(`${list}_total`, { ...pods, index: '' }),
    fetched: await valueOf(`${list}_fetched_objects_total`, { ...pods, index: '' }),
    returned: await valueOf(`${list}_returned_objects_total`, pods),
  };
  await server.call('GET', `${path}?labelSelector=a%3Db`);
  await server.call('GET', `/api/v1/pods?fieldSelector=spec.nodeName%3Dn1`);
  expect(await valueOf(`${list}_total`, { ...pods, index: '' })).toBe(before.lists + 1);
  expect(await valueOf(`${list}_fetched_objects_total`, { ...pods, index: '' })).toBe(before.fetched + 2);
  expect(await valueOf(`${list}_returned_objects_total`, pods)).toBe(before.returned + 2);
  expect(await valueOf(`${list}_total`, { ...pods, index: 'f:spec.nodeName' })).toBe(1);
  expect(await valueOf(`${list}_fetched_objects_total`, { ...pods, index: 'f:spec.nodeName' })).toBe(1);
  expect(await valueOf('apiserver_resource_size_estimate_bytes', pods)).toBeGreaterThan(500);
  expect(await valueOf('watch_cache_capacity', pods)).toBe(10_000);
});

it('counts addresses and ports that are handed out', async () => {
  const ips = 'kube_apiserver_clusterip_allocator';
  const ports = 'kube_apiserver_nodeport_allocator';
  const before = await valueOf(`${ports}_allocation_total`, { scope: 'static' });
  const path = '/api/v1/namespaces/default/services';
  const made = await server.call('POST', path, {
    body: { metadata: { name: 'b' }, spec: { type: 'NodePort', ports: [{ port: 80, nodePort: 32000 }] } },
  });
  expect(made.code).toBe(201);
  const refused = await server.call('POST', path, {
    body: { metadata: { name: 'c' }, spec: { type: 'NodePort', ports: [{ port: 80, nodePort: 32000 }] } },
  });
  expect(refused.code).toBe(422);
  expect(await valueOf(`${ports}_allocation_total`, { scope: 'static' })).toBe(before + 1);
  expect(await valueOf(`${ports}_allocation_errors_total`, { scope: 'static' })).toBe(1);
  // Asked for at one scrape, told at the next.
  const taken = await valueOf(`${ports}_allocated_ports`);
  expect(taken).toBeGreaterThan(0);
  expect(taken + (await valueOf(`${ports}_available_ports`))).toBe(2768);
  const { text } = await server.call('GET', '/metrics');
  const cidr = /clusterip_allocator_allocated_ips\{cidr="([^"]+)"\}/.exec(text)?.[1] as string;
  expect(await valueOf(`${ips}_allocation_total`, { cidr, scope: 'dynamic' })).toBeGreaterThan(1);
  expect(await valueOf(`${ips}_allocated_ips`, { cidr })).toBeGreaterThan(1);
});

it('counts policies that deny and warn, and webhooks that cannot be called', async () => {
  const group = '/apis/admissionregistration.k8s.io/v1';
  const constraints = {
    resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['secrets'] }],
  };
  await server.call('POST', `${group}/validatingadmissionpolicies`, {
    body: {
      metadata: { name: 'p' },
      spec: { matchConstraints: constraints, validations: [{ expression: 'false' }] },
    },
  });
  await server.call('POST', `${group}/validatingadmissionpolicybindings`, {
    body: { metadata: { name: 'q' }, spec: { policyName: 'p', validationActions: ['Deny', 'Audit'] } },
  });
  const rules = [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['limitranges'] }];
  const webhook = (name: string, failurePolicy: string) => ({
    name,
    rules,
    failurePolicy,
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    matchConditions: [{ name: 'a', expression: 'object.metadata.name != "never"' }],
    // Nobody listens there.
    clientConfig: { url: 'https://127.0.0.1:1/x' },
  });
  await server.call('POST', `${group}/mutatingwebhookconfigurations`, {
    body: { metadata: { name: 'm' }, webhooks: [webhook('open.example.com', 'Ignore')] },
  });
  await server.call('POST', `${group}/validatingwebhookconfigurations`, {
    body: { metadata: { name: 'v' }, webhooks: [webhook('closed.example.com', 'Fail')] },
  });
  const create = (resource: string, name: string) =>
    server.call('POST', `/api/v1/namespaces/default/${resource}`, {
      body: { metadata: { name }, ...(resource === 'limitranges' && { spec: { limits: [] } }) },
    });
  await expect.poll(async () => (await create('secrets', 'x')).code).toBe(422);
  await expect.poll(async () => (await create('limitranges', 'x')).code).toBe(500);
  expect((await create('limitranges', 'never')).code).toBe(201);
  const checks = 'apiserver_validating_admission_policy_check_total';
  const policy = { policy: 'p', policy_binding: 'q', error_type: 'no_error' };
  expect(await valueOf(checks, { ...policy, enforcement_action: 'deny' })).toBeGreaterThan(0);
  expect(await valueOf(checks, { ...policy, enforcement_action: 'audit' })).toBeGreaterThan(0);
  const admission = 'apiserver_admission_';
  const open = { name: 'open.example.com', type: 'admit' };
  const closed = { name: 'closed.example.com', type: 'validating' };
  expect(await valueOf(`${admission}webhook_fail_open_count`, open)).toBeGreaterThan(0);
  expect(
    await valueOf(`${admission}webhook_rejection_count`, { ...closed, error_type: 'calling_webhook_error' }),
  ).toBeGreaterThan(0);
  expect(await valueOf(`${admission}webhook_request_total`, { ...closed, rejected: 'true' })).toBeGreaterThan(0);
  expect(await valueOf(`${admission}webhook_admission_duration_seconds_count`, open)).toBeGreaterThan(0);
  expect(await valueOf(`${admission}match_condition_exclusions_total`, { name: 'open.example.com' })).toBe(1);
});
