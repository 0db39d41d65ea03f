-- migrate:up
call versioned('appointment', 'appointments', 'versioned', 'id');
call versioned('appointment_request', 'appointment_requests', 'versioned', 'id');
