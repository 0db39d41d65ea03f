-- migrate:up
call versioned('task', 'compliance_tasks', 'versioned', 'id');
call versioned('temperature_log', 'partner_temperature_logs', 'append_only', 'id');
