// core/v1 PodTemplate: a pod specification by itself; nothing acts on it.
import { semanticEqual } from '../equality.ts';
import { formatLabels } from '../selectors.ts';
import type { PodTemplate } from '../types/core-v1.ts';
import { validatePodTemplate } from '../validation/pod-template.ts';
import { podWarnings } from '../validation/pod-warnings.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { dropDisabledTemplateFields } from './parts/disabled-fields.ts';
import { setPodTemplateDefaults } from './parts/pod-defaults.ts';
import { templateCells } from './parts/workload.ts';

export const podTemplate = defineKind<PodTemplate>({
  group: '',
  version: 'v1',
  kind: 'PodTemplate',
  resource: 'podtemplates',
  namespaced: true,
  schema: 'core.v1.PodTemplate',
  columns: [NAME_COLUMN, 'Containers', 'Images', 'Pod Labels'],
  cells: (object) => [
    nameOf(object),
    ...templateCells(object.template),
    formatLabels(object.template?.metadata?.labels),
  ],
  setDefaults: (object) => setPodTemplateDefaults(object),
  prepareForCreate({ metadata, template }) {
    dropDisabledTemplateFields(template);
    metadata.generation = 1;
  },
  prepareForUpdate({ metadata, template }, { metadata: was, template: old }) {
    dropDisabledTemplateFields(template, old);
    if (!semanticEqual(template, old)) metadata.generation = (was.generation ?? 0) + 1;
  },
  validate: ({ template = {} }) => [...validatePodTemplate(template, 'template')],
  warnings: ({ template = {} }) => podWarnings(template, 'template'),
});
