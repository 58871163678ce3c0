// What the command line needs. It must run without Vitest: what tests import is vitest.ts, in a worker of Vitest only.
export { projectFirmwares } from './names.ts'
export { findProject, PACKAGE, type Project, projectAt } from './project.ts'
export { readQuarantine } from './quarantine.ts'
export { judge, REPORTER, RESULTS_VARIABLE, type TestResults } from './results.ts'
export { makeRunId } from './run-id.ts'
export { parseJobs, SETTING_VARIABLES } from './settings.ts'
