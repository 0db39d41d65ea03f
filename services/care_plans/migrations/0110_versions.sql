-- migrate:up
call versioned('action_plan', 'action_plans', 'versioned', 'id');
