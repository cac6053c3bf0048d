// flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration: how many requests of a level run at a time, and what waits.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import type { PriorityLevelConfiguration, PriorityLevelConfigurationSpec } from '../types/flowcontrol-v1.ts';
import type { Findings } from '../validation/checks.ts';
import { validateFlowConditions, validatePriorityLevelSpec } from '../validation/flow-control.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { MANDATORY_PRIORITY_LEVELS } from './parts/mandatory-flow-control.ts';

export const priorityLevelConfiguration = defineKind<PriorityLevelConfiguration>({
  group: 'flowcontrol.apiserver.k8s.io',
  version: 'v1',
  kind: 'PriorityLevelConfiguration',
  resource: 'prioritylevelconfigurations',
  namespaced: false,
  schema: 'flowcontrol.v1.PriorityLevelConfiguration',
  columns: [NAME_COLUMN, 'Type', 'NominalConcurrencyShares', 'Queues', 'HandSize', 'QueueLengthLimit', 'Age'],
  cells(object, { nowMs }) {
    const limited = object.spec?.limited;
    const queuing = limited?.limitResponse?.queuing;
    return [
      nameOf(object),
      object.spec?.type ?? '',
      limited?.nominalConcurrencyShares ?? '<none>',
      queuing?.queues ?? '<none>',
      queuing?.handSize ?? '<none>',
      queuing?.queueLengthLimit ?? '<none>',
      age(object.metadata.creationTimestamp, nowMs),
    ];
  },
  hasStatus: true,
  statusKeepsMetadata: true,
  hasGeneration: true,

  setDefaults({ spec }) {
    if (spec?.exempt) {
      spec.exempt.nominalConcurrencyShares ??= 0;
      spec.exempt.lendablePercent ??= 0;
    }
    if (!spec?.limited) return;
    spec.limited.nominalConcurrencyShares ??= 30;
    spec.limited.lendablePercent ??= 0;
    const queuing = spec.limited.limitResponse?.queuing;
    if (!queuing) return;
    queuing.handSize ||= 8;
    queuing.queues ||= 64;
    queuing.queueLengthLimit ||= 50;
  },
  prepareForCreate(object) {
    object.status = {};
  },
  validate: (object) => [...findings(object)],
  validateStatusUpdate: ({ status }) => [...validateFlowConditions(status?.conditions)],
});

function* findings(object: PriorityLevelConfiguration): Findings {
  const spec = object.spec ?? ({} as PriorityLevelConfigurationSpec);
  const name = object.metadata.name ?? '';
  yield* validatePriorityLevelSpec(spec, name);
  const mandatory = Object.hasOwn(MANDATORY_PRIORITY_LEVELS, name) ? MANDATORY_PRIORITY_LEVELS[name] : undefined;
  if (mandatory?.exempt) {
    // How much the exempt level lends is the administrator's.
    if (!semanticEqual({ ...spec, exempt: mandatory.exempt }, mandatory)) {
      yield fieldErrors.invalid(
        'spec',
        spec,
        `spec of '${name}' except the 'spec.exempt' field must equal the fixed value`,
      );
    }
  } else if (mandatory && !semanticEqual(spec, mandatory)) {
    yield fieldErrors.invalid('spec', spec, `spec of '${name}' must equal the fixed value`);
  }
  yield* validateFlowConditions(object.status?.conditions);
}
