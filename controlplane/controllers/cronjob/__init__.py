"""Jobs made by the clock: CronJobs."""
