export { guestTool } from './tools.ts'
