// Property tests draw the same cases in every run, so that a failure is a change's and not the dice's. SAMPAN_SEED explores others.
import { configureGlobal } from 'fast-check';

configureGlobal({ seed: Number(process.env['SAMPAN_SEED'] ?? 20_261_120) });
