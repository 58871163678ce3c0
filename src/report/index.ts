export * from './junit.ts'
export * from './run-report.ts'
export * from './terminal.ts'
