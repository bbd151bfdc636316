import { defineConfig } from 'mocajs'
import { billing } from './jobs.ts'

export default defineConfig({ namespace: 'send-invoices', apps: [billing] })
