// flowcontrol.apiserver.k8s.io/v1 FlowSchema: which requests share a priority level.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import type { FlowSchema, FlowSchemaSpec } from '../types/flowcontrol-v1.ts';
import type { Findings } from '../validation/checks.ts';
import { validateFlowConditions, validateFlowSchemaSpec } from '../validation/flow-control.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { MANDATORY_FLOW_SCHEMAS } from './parts/mandatory-flow-control.ts';

export const flowSchema = defineKind<FlowSchema>({
  group: 'flowcontrol.apiserver.k8s.io',
  version: 'v1',
  kind: 'FlowSchema',
  resource: 'flowschemas',
  namespaced: false,
  schema: 'flowcontrol.v1.FlowSchema',
  columns: [NAME_COLUMN, 'PriorityLevel', 'MatchingPrecedence', 'DistinguisherMethod', 'Age', 'MissingPL'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.priorityLevelConfiguration?.name ?? '',
    object.spec?.matchingPrecedence ?? 0,
    object.spec?.distinguisherMethod?.type ?? '<none>',
    age(object.metadata.creationTimestamp, nowMs),
    object.status?.conditions?.find((each) => each.type === 'Dangling')?.status ?? '?',
  ],
  hasStatus: true,
  statusKeepsMetadata: true,
  hasGeneration: true,

  setDefaults(object) {
    const spec = (object.spec ??= {} as FlowSchemaSpec);
    spec.matchingPrecedence ||= 1000;
  },
  prepareForCreate(object) {
    object.status = {};
  },
  validate: (object) => [...findings(object)],
  validateStatusUpdate: ({ status }) => [...validateFlowConditions(status?.conditions)],
});

function* findings({ metadata, spec = {} as FlowSchemaSpec, status }: FlowSchema): Findings {
  const name = metadata.name ?? '';
  yield* validateFlowSchemaSpec(spec, name);
  const mandatory = Object.hasOwn(MANDATORY_FLOW_SCHEMAS, name) ? MANDATORY_FLOW_SCHEMAS[name] : undefined;
  if (mandatory && !semanticEqual(spec, mandatory)) {
    yield fieldErrors.invalid('spec', spec, `spec of '${name}' must equal the fixed value`);
  }
  yield* validateFlowConditions(status?.conditions);
}
