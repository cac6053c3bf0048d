// /metrics against the names, types and labels of kube-apiserver 1.36, as far as the things they count are there.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';

/** name type labels, of kube-apiserver; ours may not differ in any of the three. */
const UPSTREAM = `
apiserver_admission_controller_admission_duration_seconds histogram name,operation,rejected,type
apiserver_admission_step_admission_duration_seconds histogram operation,rejected,type
apiserver_audit_event_total counter
apiserver_audit_requests_rejected_total counter
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
apiserver_request_sli_duration_seconds histogram component,group,resource,scope,subresource,verb,version
apiserver_request_total counter code,component,dry_run,group,resource,scope,subresource,system_client,verb,version
apiserver_requested_deprecated_apis gauge group,removed_release,resource,subresource,version
apiserver_resource_objects gauge group,resource
apiserver_response_sizes histogram component,group,resource,scope,subresource,verb,version
apiserver_storage_objects gauge resource
apiserver_storage_size_bytes gauge storage_cluster_id
apiserver_tls_handshake_errors_total counter
apiserver_watch_cache_resource_version gauge group,resource
apiserver_watch_events_sizes histogram group,resource,version
apiserver_watch_events_total counter group,resource,version
authenticated_user_requests counter username
authentication_attempts counter result
authentication_duration_seconds histogram result
authorization_attempts_total counter result
authorization_duration_seconds histogram result
etcd_request_duration_seconds histogram group,operation,resource
etcd_requests_total counter group,operation,resource
kubernetes_build_info gauge build_date,compiler,git_commit,git_tree_state,git_version,go_version,major,minor,platform
process_cpu_seconds_total counter
process_max_fds gauge
process_open_fds gauge
process_resident_memory_bytes gauge
process_start_time_seconds gauge
process_virtual_memory_bytes gauge
version_info gauge binary,component,emulation,min_compat`;

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
