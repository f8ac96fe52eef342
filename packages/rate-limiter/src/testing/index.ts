export { auditSlidingLog } from './auditSlidingLog.ts'
