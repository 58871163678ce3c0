export { guestToolsProgram } from './program.ts'
export { guestTool } from './tools.ts'
