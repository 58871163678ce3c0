export * from './junit.ts'
export * from './prediction-text.ts'
export * from './run-report.ts'
export * from './terminal.ts'
