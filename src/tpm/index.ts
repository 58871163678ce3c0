export * from './swtpm.ts'
