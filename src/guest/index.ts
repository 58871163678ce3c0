export { writeExtraTree } from './extra-tree/write.ts'
export { guestToolsProgram } from './program.ts'
export { processOutput, toolOutput } from './tool-output.ts'
export { guestTool, guestToolNames } from './tools.ts'
