export { type GuestTool, guestTool, guestToolNames } from './tools.ts'
